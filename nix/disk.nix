# A raw disk image, to be booted in a virtual machine or written to a disk: GPT with a BIOS boot partition,
# an EFI system partition with kernel and boot menu, and the root file system.
{ lib, runCommand, writeText, util-linux, mtools, bootloader }:
{ name
  # The ext2 image of the root partition, and the partition's UUID.
, rootfs
, rootUuid
  # What the EFI system partition holds: { "<path>" = <file>; }
, files
  # The boot menu: see bootloader/README.md.
, entries
, timeout
, place
}:
let
  configuration = bootloader.configuration { inherit entries timeout; };
  mib = 2048; # sectors
  espFirst = 2 * mib;
  espSectors = 48 * mib;
  rootFirst = espFirst + espSectors;
in
runCommand "${name}-disk.img" { nativeBuildInputs = [ util-linux mtools ] ++ bootloader.disk.tools; } ''
  export SOURCE_DATE_EPOCH=315532800
  mkdir -p ${place} && cd ${place}
  ${lib.concatStrings (lib.mapAttrsToList (path: file: ''
    mkdir -p "$(dirname tree/${path})"
    cp ${file} tree/${path}
  '') (files // { ${configuration.path} = writeText "boot-menu" configuration.text; }))}
  ${bootloader.disk.prepare}

  # The EFI system partition: FAT32, the names put in one order, all of one time.
  truncate -s $((${toString espSectors} * 512)) esp
  mformat -i esp -F -c 1 -N 12345678 -v ESP ::
  find tree -exec touch -h -d @$SOURCE_DATE_EPOCH {} +
  for path in $(cd tree && find . -mindepth 1 -type d | LC_ALL=C sort); do mmd -i esp ::$path; done
  for path in $(cd tree && find . -type f | LC_ALL=C sort); do mcopy -m -i esp tree/$path ::$path; done

  root_sectors=$(($(stat -L -c %s ${rootfs}) / 512))
  bios_first=${toString mib} bios_sectors=${toString mib}
  image=image.img
  truncate -s $(((${toString rootFirst} + root_sectors + ${toString mib}) * 512)) $image
  sfdisk --quiet $image <<END
  label: gpt
  label-id: 6F735F74-7375-7200-8000-000000000010
  unit: sectors
  start=$bios_first, size=$bios_sectors, type=21686148-6449-6E6F-744E-656564454649, uuid=6F735F74-7375-7200-8000-000000000011, name=bios
  start=${toString espFirst}, size=${toString espSectors}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=6F735F74-7375-7200-8000-000000000012, name=efi
  start=${toString rootFirst}, size=$root_sectors, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=${rootUuid}, name=root
  END
  dd if=esp of=$image bs=1M seek=$((${toString espFirst} / ${toString mib})) conv=notrunc,sparse status=none
  dd if=${rootfs} of=$image bs=1M seek=$((${toString rootFirst} / ${toString mib})) conv=notrunc,sparse status=none
  ${bootloader.disk.finish}
  cp --sparse=always $image $out
''
