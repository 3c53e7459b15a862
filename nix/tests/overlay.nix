let steps = import ./steps.nix; in {
  description = "An overlay: what Linux's documentation says of it, and the system tests of files on one";
  smp = 2;
  imageDisks = true;
  type = [
    { expect = steps.prompt; send = "cat > /tmp/overlay.sh <<'END'\n${builtins.readFile ./overlay.sh}END\n"; }
  ] ++ steps.shell [
    ". /tmp/overlay.sh"
    # A live system: the root file system as it lies on the ISO, without being loaded into memory, and what is changed in memory.
    "mkdir -p /tmp/live/iso /tmp/live/root; cd /tmp/live; mount -t iso9660 /dev/vdb iso && mount -t ext2 -o ro,loop iso/boot/rootfs.ext2 root"
    "mkdir memory all; mount -t tmpfs tmpfs memory; mkdir memory/up memory/work; before=$(md5sum < iso/boot/rootfs.ext2)"
    "mount -t overlay -o lowerdir=root,upperdir=memory/up,workdir=memory/work overlay all; mount -t proc proc all/proc"
    "chroot all sh -c 'cp /bin/busybox /root/copy; echo live > /etc/live; rm /etc/motd; echo guest:x:1000:1000::/:/bin/sh >> /etc/passwd; cmp /bin/busybox /root/copy; id guest'"
    "cat all/etc/live; ls root/etc/live root/root/copy; ls root/etc/motd; cd memory/up; find . -type f | sort; cd /tmp/live"
    "umount all/proc all root; [ \"$before\" = \"$(md5sum < iso/boot/rootfs.ext2)\" ] && echo nothing changed; umount memory iso; cd /tmp/overlay"
    "systest --failures --dir /tmp/overlay/all files descriptors directories links paths attributes xattrs watches mapped_files"
    "echo systest ended with $?; umount /tmp/overlay/all; poweroff"
  ];
  expect = [
    "\noverlay is as it should be\n"
    "\nuid=1000\\(guest\\)[^\n]*\n"
    "\nlive\nls: root/etc/live: No such.*\nls: root/root/copy: No such.*\nroot/etc/motd\n"
    "\n./etc/live\n./etc/passwd\n./root/copy\n"
    "\nnothing changed\n"
    "systest ended with 0"
  ];
}
