# virtio-balloon, moved from QEMU's monitor: one that the host may keep, and one that comes back when memory runs out.
let
  steps = import ./steps.nix;
  ask = command: answer: { expect = ""; monitor = command; inherit answer; send = "\n"; };
  # Once `seen` is said.
  after = seen: command: { expect = seen; monitor = command; };
  size = mebibytes: ask "info balloon" "actual=${mebibytes}\\s";
  figures = ''total() { sed -n 's/^MemTotal: *//p' /proc/meminfo | sed 's/ kB//'; }; before=$(total); echo counted'';
  # How many megabytes less there are, to the kilobyte.
  missing = "kib=$((before - $(total))); echo $((kib / 1024)) MiB and $((kib % 1024)) KiB are missing";
in
{
  description = "A balloon takes memory and gives it back, kills nobody, and is let out before anybody is killed";
  slots = 1;
  qemu = [ "-device" "virtio-balloon-pci,bus=slot1,id=balloon" ];
  type = steps.shell [ figures ] ++ [
    (after "\ncounted" "balloon 160")
    (size "160")
  ] ++ steps.shell [
    "ls -d /sys/bus/virtio/drivers/virtio_balloon/virtio*; grep balloon_ /proc/vmstat; ${missing}"
  ] ++ [
    (after "96 MiB and 0 KiB are missing" "qom-set /machine/peripheral/balloon guest-stats-polling-interval 1")
    # 160 MiB are nine digits; what was never said is 2^64 - 1.
    (ask "qom-get /machine/peripheral/balloon guest-stats" ''"stat-available-memory": [0-9]{8,9},'')
    (ask "balloon 256" "")
    (size "256")
  ] ++ steps.shell [
    missing
    # What is not to be had is not taken: a file in memory stays, and so does the shell.
    "dd if=/dev/zero of=/dev/shm/file bs=1M count=120 2> /dev/null; echo filled"
  ] ++ [
    (after "\nfilled" "balloon 64")
    (ask "info balloon" "actual=1[0-9][0-9]\\s")
  ] ++ steps.shell [
    "sleep 3; free -m; wc -c < /dev/shm/file; echo the shell lives"
  ] ++ [
    { expect = "\nthe shell lives"; monitor = "info balloon"; answer = "actual=1[0-9][0-9]\\s"; send = "\n"; }
  ] ++ steps.shell [ "rm /dev/shm/file; echo removed" ] ++ [
    { expect = "\nremoved"; send = "\n"; }
    (size "64")
    # Taken away, it leaves what it had.
    (ask "device_del balloon" "")
    { expect = "slot 1: .* has gone|has gone"; send = "\n"; }
  ] ++ steps.shell [ missing "echo next" ] ++ [
    (after "\nnext" "device_add virtio-balloon-pci,bus=slot1,id=other,deflate-on-oom=on")
    { expect = "balloon: virtio[0-9]+ may have memory"; monitor = "balloon 64"; }
    (size "64")
  ] ++ steps.shell [
    missing
    "dd if=/dev/zero of=/dev/null bs=150M count=1 && echo it had room"
  ] ++ [
    { expect = "\nit had room"; monitor = "info balloon"; answer = "actual=(1[5-9]|2)[0-9]+\\s"; send = "\n"; }
  ] ++ steps.shell [ "poweroff" ];
  expect = [
    "drivers/virtio_balloon/virtio[0-9]+\n"
    "balloon_inflate 24576\nballoon_deflate 0\n"
    "\n0 MiB and 0 KiB are missing\n(?s:.*)\n0 MiB and 0 KiB are missing\n(?s:.*)\n0 MiB and 0 KiB are missing\n"
    "\n125829120\n"
  ];
  reject = [ "oom-killer" "Killed process" "lockdep:" "does not work" ];
  timeout = 60;
}
