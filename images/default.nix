# The images, one line each: what nix/image.nix makes of the file's arguments.
{ mkImage }: {
  standard = mkImage (import ./standard.nix);
}
