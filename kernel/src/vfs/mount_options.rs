//! What a mount allows and notes: options of `mount(2)` that belong to the mount, not to the file system.

use core::sync::atomic::{AtomicU32, Ordering};

/// When the time of the last read is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessTimes {
    /// When it is not later than the last change, or a day old (`relatime`).
    Relative,
    /// At each read (`strictatime`).
    Strict,
    /// Not at all (`noatime`).
    Never,
}

/// Options of a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MountOptions {
    /// Changes are refused (`ro`).
    pub read_only: bool,
    /// Times of reads.
    pub access_times: AccessTimes,
    /// Those of directories stay as they are (`nodiratime`).
    pub no_directory_times: bool,
}

impl Default for MountOptions {
    fn default() -> Self {
        MountOptions { read_only: false, access_times: AccessTimes::Relative, no_directory_times: false }
    }
}

impl MountOptions {
    /// The options as `/proc/mounts` shows them.
    pub fn words(self) -> [&'static str; 3] {
        let times = match self.access_times {
            AccessTimes::Relative => ",relatime",
            AccessTimes::Strict => "",
            AccessTimes::Never => ",noatime",
        };
        [if self.read_only { "ro" } else { "rw" }, times, if self.no_directory_times { ",nodiratime" } else { "" }]
    }
}

const READ_ONLY: u32 = 1;
const STRICT: u32 = 2;
const NEVER: u32 = 4;
const NO_DIRECTORY_TIMES: u32 = 8;

/// Options that many read while one changes them.
pub(super) struct SharedOptions(AtomicU32);

impl SharedOptions {
    pub fn new(options: MountOptions) -> Self {
        SharedOptions(AtomicU32::new(Self::encode(options)))
    }

    /// Puts others in their place.
    pub fn set(&self, options: MountOptions) {
        self.0.store(Self::encode(options), Ordering::Release);
    }

    /// All of them.
    pub fn get(&self) -> MountOptions {
        let bits = self.0.load(Ordering::Acquire);
        let access_times = match bits & (STRICT | NEVER) {
            0 => AccessTimes::Relative,
            STRICT => AccessTimes::Strict,
            _ => AccessTimes::Never,
        };
        let no_directory_times = bits & NO_DIRECTORY_TIMES != 0;
        MountOptions { read_only: bits & READ_ONLY != 0, access_times, no_directory_times }
    }

    /// Whether changes are refused.
    #[inline]
    pub fn read_only(&self) -> bool {
        self.0.load(Ordering::Relaxed) & READ_ONLY != 0
    }

    fn encode(options: MountOptions) -> u32 {
        let times = match options.access_times {
            AccessTimes::Relative => 0,
            AccessTimes::Strict => STRICT,
            AccessTimes::Never => NEVER,
        };
        let flag = |on: bool, bit| if on { bit } else { 0 };
        times | flag(options.read_only, READ_ONLY) | flag(options.no_directory_times, NO_DIRECTORY_TIMES)
    }
}
