{
  description = "VGA text: the console of a machine without a framebuffer";
  boot = "direct";
  mem = "128M";
  # A card that no driver is for; the firmware leaves it in text mode. The last option counts.
  vgaText = true;
  qemu = [ "-vga" "cirrus" ];
  type =
    let prompt = "root@rust-os:[^ ]*#"; in
    [
      { screen = prompt; send = "clear; stty size; cat /proc/fb\n"; }
      { screen = "\\A25 80\n(cat: .*\n)?${prompt}"; send = "clear; printf '\\342\\224\\214\\342\\224\\200\\303\\251\\n%80s\\n' end\n"; }
      { screen = "\\A┌─é\n {77}end\n${prompt}"; send = "clear; seq 1 100\n"; }
      { screen = "\n99\n100\n${prompt}"; press = "shift-pgup"; }
      { screen = "\n80\n81\n82\n"; send = "clear; vi text\n"; }
      { screen = "\\A\n(~\n)+.* text "; send = "ia line"; }
      { screen = "\\Aa line\n~\n"; press = "esc"; }
      { screen = "\\Aa line\n"; send = ":q!\n"; }
      { screen = prompt; press = "alt-f2"; }
      # The last words.
      { screen = "Welcome to rust-os"; send = "clear; echo c > /proc/sysrq-trigger\n"; }
      { screen = "(?m)after a panic. (.*\n)+monitor>$"; send = "exit\n"; }
    ];
  cmdline = "panic=monitor";
  panics = true;
  status = 33;
}
