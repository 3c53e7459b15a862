{
  description = "rust-overlay's face over Debian's Rust";
  inputs.nixpkgs.url = "nixpkgs"; # replaced by the wrapper, as in the real one
  outputs = { self, nixpkgs }: { overlays.default = import ./.; };
}
