{
  description = "rust-os: a small operating system for x86-64 that runs Linux programs";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  inputs.rust-overlay.url = "github:oxalica/rust-overlay";
  inputs.rust-overlay.inputs.nixpkgs.follows = "nixpkgs";

  # `make run` overrides this with the last commit of the project and compiles its kernel on top of that one's. A folder
  # without a kernel in it stands for none.
  inputs.base.follows = "nixpkgs";
  inputs.base.flake = false;

  outputs = { self, nixpkgs, rust-overlay, base }:
    let
      system = "x86_64-linux";
      pkgs = import nixpkgs {
        inherit system;
        overlays = [ rust-overlay.overlays.default self.overlays.default ];
      };
      os = pkgs.rust-os;
      app = package: description: {
        type = "app";
        program = pkgs.lib.getExe package;
        meta.description = description;
      };
    in
    {
      packages.${system} = {
        inherit (os) kernel kernel-debug userland;
        inherit (os.images.standard) rootfs iso disk;
        integrity-long = os.integrity.long;
        default = os.images.standard.iso;
      } // os.stress.hours;

      apps.${system} = rec {
        default = qemu;
        qemu = app os.run.qemu "Boot the system in QEMU (-- --help tells the options)";
        debug = app os.run.debug "Boot the debug build, halted until a debugger connects";
        gdb = app os.run.gdb "Connect GDB to a system started by `debug`";
        console-speed = app os.console-speed "Compare the speed of text on the screen with Linux's";
        disk-speed = app os.disk-speed "Compare the speed of the file system on a disk with Linux's";
      };

      checks.${system} = os.checks;
      devShells.${system}.default = os.shell;
      formatter.${system} = os.formatter;

      overlays.default = final: prev: {
        rust-os = import ./nix {
          pkgs = final;
          base = if builtins.pathExists "${base}/kernel/machine" then base else null;
        };
      };

      # An image with more in it: see nix/image.nix for the arguments.
      lib.mkImage = os.mkImage;
    };
}
