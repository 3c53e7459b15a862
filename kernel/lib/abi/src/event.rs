//! Descriptors that stand for events: `eventfd`, `timerfd`. Source: eventfd(2), timerfd_create(2).

flags! {
    /// The flags of `eventfd2`.
    EventfdFlags: u32, like libc;
    EFD_SEMAPHORE = 0x1, "A read takes 1, not everything.";
    EFD_NONBLOCK = 0o4000, "Never sleep.";
    EFD_CLOEXEC = 0o2000000, "Close on exec.";
}

flags! {
    /// The flags of `timerfd_create`.
    TimerfdFlags: u32, like libc;
    TFD_NONBLOCK = 0o4000, "Never sleep.";
    TFD_CLOEXEC = 0o2000000, "Close on exec.";
}

flags! {
    /// The flags of `timerfd_settime`.
    TimerfdSetFlags: u32, like libc;
    TFD_TIMER_ABSTIME = 0x1, "The time is a point of the clock.";
    TFD_TIMER_CANCEL_ON_SET = 0x2, "A read fails when the clock is set.";
}
