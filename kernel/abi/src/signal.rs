//! Signals by name (signal(7)).

/// Names of signals 1 to 31.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Name of a signal; real-time signals have only numbers.
pub fn name(signal: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(signal).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        use linux_raw_sys::general as raw;
        let known =
            [(raw::SIGHUP, "SIGHUP"), (raw::SIGSEGV, "SIGSEGV"), (raw::SIGCHLD, "SIGCHLD"), (raw::SIGSYS, "SIGSYS")];
        for (number, text) in known {
            assert_eq!(name(number), Some(text));
        }
        assert_eq!((name(0), name(32)), (None, None));
    }
}
