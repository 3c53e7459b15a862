# The overlay, as in the real rust-overlay.
final: prev: {
  rust-bin.fromRustupToolchainFile = final.callPackage ./toolchain.nix { };
}
