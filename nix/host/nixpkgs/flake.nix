{
  description = "The few parts of nixpkgs that this project uses, made of a Debian machine's packages";
  outputs = { self }: {
    lib = import ./lib.nix;
    legacyPackages.x86_64-linux = import ./. { system = "x86_64-linux"; };
  };
}
