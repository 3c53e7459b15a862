let steps = import ./steps.nix; in {
  description = "FAT, read and written, the EFI partition, and ISO 9660, mounted by busybox's mount";
  smp = 2;
  testDisks = true;
  imageDisks = true;
  type = steps.shell [
    # FAT: what mtools put in, what is written, what fails.
    "mount -t vfat /dev/vdb /mnt; cat /mnt/SHORT.TXT; wc -l < /mnt/long.txt; grep vfat /proc/mounts"
    "cp /bin/busybox '/mnt/A long name'; cmp /bin/busybox '/mnt/a LONG name' && echo same; ln -s x /mnt/y; touch '/mnt/a?'"
    # Dots at the end of a name do not count; options of a remount are taken and change nothing, as on Linux.
    "cd /mnt; echo dots > e...; mkdir f.; mv e. f/G..; cat f./g; ls f; rm f/g.; rmdir f..; ls -d e* f* G*; touch ...; cd /"
    "mount -o remount,uid=9,any=thing /mnt; stat -c %u /mnt/A*; echo after >> /mnt/long.txt && echo written"
    "mkdir /mnt/d; mv /mnt/A* /mnt/d/moved; rm /mnt/long.txt; umount /mnt; mount -t vfat -o ro,uid=7,fmask=133 /dev/vdb /mnt"
    "cmp /bin/busybox /mnt/D/MOVED && stat -c %u:%a /mnt/d/moved; touch /mnt/x; ls /mnt; umount /mnt"
    # The EFI partition of the disk image.
    "mount -t vfat -o umask=077 /dev/vde2 /mnt; ls /mnt/EFI/BOOT; stat -c %a /mnt; umount /mnt"
    # ISO 9660.
    "mount -t iso9660 /dev/vdd /mnt; ls /mnt/boot; stat -c %a /mnt/boot/kernel.elf; touch /mnt/x; umount /mnt"
    "mount -t iso9660 -o ro,norock,mode=400 /dev/vdd /mnt; stat -c %a /mnt/BOOT/KERNEL.ELF; umount /mnt; poweroff"
  ];
  expect = [
    "\nRust is cool!\n1000\n/dev/vdb /mnt vfat rw,.*fmask=0022,dmask=0022"
    "\nsame\nln: .*not permitted\ntouch: .*Invalid argument\n"
    "\ndots\nG *\nls: e.*\nls: f.*\nls: G.*\ntouch: [.]{3}: No such file or directory\n"
    "\n0\nwritten\n"
    "\n7:644\ntouch: .*Read-only file system\n"
    "(?i)\nbootx64.efi *\n700\n"
    " kernel.elf +rootfs.ext2\n555\ntouch: .*Read-only file system\n"
    "\n400\n"
  ];
  reject = [ "mount: mounting" ];
}
