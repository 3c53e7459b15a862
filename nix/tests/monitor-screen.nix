{
  description = "The kernel's monitor on screen and keyboard: by Alt-SysRq-g, and after a panic by polling";
  cmdline = "panic=monitor";
  panics = true;
  type =
    let prompt = "root@rust-os:[^ ]*#"; in
    [
      { screen = prompt; press = "alt-sysrq-g"; }
      { screen = "(?m)^monitor>$"; send = "he\tps\n"; }
      { screen = "(?m)ps\n +lists all threads and what they wait for\nmonitor>$"; send = "continue\n"; }
      { screen = "(?m)^left the monitor\n"; send = "clear; echo $((6 * 7))\n"; }
      { screen = "(?m)^42\n${prompt}"; send = "echo c > /proc/sysrq-trigger\n"; }
      { screen = "(?m)after a panic. (.*\n)+monitor>$"; send = "help pss"; }
      { screen = "(?m)^monitor> help pss$"; press = "backspace"; }
      { screen = "(?m)^monitor> help ps$"; press = "ret"; }
      { screen = "(?m)^monitor> help ps\nps\n +lists all threads and what they wait for\nmonitor>$"; press = "up"; }
      { screen = "(?m)what they wait for\nmonitor> help ps$"; press = "ctrl-u"; }
      { screen = "(?m)what they wait for\nmonitor>$"; send = "continue\n"; }
    ];
  status = 35;
}
