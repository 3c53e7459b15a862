let steps = import ./steps.nix; in {
  description = "A folder of the host, used by unmodified programs on both sides: what one writes, the other reads";
  smp = 2;
  share = {
    before = ''
      echo "hello from the host" > hello.txt
      ln -s hello.txt link
      mkdir many
      for number in $(seq 1500); do echo $number > many/file-$number; done
      head -c 20000000 /dev/urandom > large
      sha256sum large > large.sum
    '';
    after = ''
      diff hello.txt copied/hello.txt
      diff -r many copied/many
      [ "$(readlink copied/link)" = hello.txt ]
      sha256sum -c made.sum
      cmp large copied/large
      [ "$(cat appended)" = "$(printf 'one\ntwo')" ]
      [ "$(stat -c %a appended)" = 640 ]
      [ "$(stat -c %h first)" = 2 ]
      [ "$(stat -c %s stored)" = 40000 ]
      [ ! -e gone ]
    '';
  };
  type = [ { expect = steps.prompt; send = "cat > /tmp/share.sh <<'END'\n${builtins.readFile ./share.sh}END\n"; } ]
    ++ steps.shell [ "sh -e /tmp/share.sh && echo all of it works" "cd /; umount /mnt/share && poweroff" ];
  expect = [
    "virtio[0-9]+ has the folder 'share'"
    "\nhello from the host\n"
    "\nlarge: OK\n"
    "\n1500 files\n"
    "\nall of it works\n"
  ];
  reject = [ "lockdep:" "wrong: " ];
}
