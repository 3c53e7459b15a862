let steps = import ./steps.nix; in {
  description = "An overlay: what Linux's documentation says of it, and the system tests of files on one";
  smp = 2;
  type = [
    { expect = steps.prompt; send = "cat > /tmp/overlay.sh <<'END'\n${builtins.readFile ./overlay.sh}END\n"; }
  ] ++ steps.shell [
    ". /tmp/overlay.sh"
    "systest --failures --dir /tmp/overlay/all files descriptors directories links paths attributes xattrs watches mapped_files"
    "echo systest ended with $?; umount /tmp/overlay/all; poweroff"
  ];
  expect = [ "\noverlay is as it should be\n" "systest ended with 0" ];
}
