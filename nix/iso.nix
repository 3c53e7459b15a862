# A hybrid ISO: boots from CD, USB stick or disk, under BIOS and UEFI.
{ lib, runCommand, writeText, xorriso, bootloader }:
{ name
, label
  # { "<path on the medium>" = <file>; }
, files
  # The boot menu: see bootloader/README.md.
, entries
, timeout
, place
}:
let
  configuration = bootloader.configuration { inherit entries timeout; };
in
runCommand "${name}.iso" { nativeBuildInputs = [ xorriso ] ++ bootloader.iso.tools; } ''
  export SOURCE_DATE_EPOCH=315532800
  mkdir -p ${place} && cd ${place}
  ${lib.concatStrings (lib.mapAttrsToList (path: file: ''
    mkdir -p "$(dirname tree/${path})"
    cp ${file} tree/${path}
  '') (files // { ${configuration.path} = writeText "boot-menu" configuration.text; }))}
  ${bootloader.iso.prepare}
  date=$(date -u -d @$SOURCE_DATE_EPOCH +%Y%m%d%H%M%S00)
  image=image.iso
  xorriso -as mkisofs -quiet -o $image -V ${label} -r -J \
    --modification-date=$date --set_all_file_dates $date ${bootloader.iso.arguments} tree
  ${bootloader.iso.finish}
  cp $image $out
''
