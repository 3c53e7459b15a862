# Disks to try things on, which `make run` attaches behind the root: fat.img and ext2.img.
{ runCommand, e2fsprogs, mtools, userland }:
runCommand "test-disks" { nativeBuildInputs = [ e2fsprogs mtools ]; } ''
  export SOURCE_DATE_EPOCH=315532800 E2FSPROGS_FAKE_TIME=315532800 MKE2FS_CONFIG=$PWD/mke2fs.conf
  printf '[fs_types]\nsmall = {\n}\n' > mke2fs.conf # none of the machine's defaults
  mkdir -p $out fat ext2/bin ext2/nested-dir

  echo "Rust is cool!" > fat/short.txt
  for line in $(seq 1000); do echo "Rust is cool!"; done > fat/long.txt
  find fat -exec touch -d @$SOURCE_DATE_EPOCH {} +
  truncate -s 2000K fat.img
  mformat -i fat.img -T 4000 -h 16 -s 32 -N 12345678 -v TEST_FAT ::
  mcopy -m -i fat.img fat/long.txt fat/short.txt ::

  echo "Hello, world!" > ext2/hello.txt
  echo "Nested hello" > ext2/nested-dir/nested.txt
  cp ${userland}/bin/hello ${userland}/bin/primes ext2/bin/
  chmod -R u=rwX,go=rX ext2
  find ext2 -exec touch -d @$SOURCE_DATE_EPOCH {} +
  mke2fs -q -t ext2 -b 4096 -I 256 -m 0 -O none,filetype,sparse_super,large_file -L test-ext2 \
    -U 6f735f74-7375-7200-8000-746573743032 -E root_owner=0:0,lazy_itable_init=0 -d ext2 ext2.img 16M
  e2fsck -fn ext2.img

  cp --sparse=always fat.img ext2.img $out/
''
