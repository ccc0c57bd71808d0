//! Capabilities (capabilities(7)): what is root's alone, in parts. There are none on files.

use abi::capability::{
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LAST_CAP, CAP_LINUX_IMMUTABLE,
    CAP_MAC_OVERRIDE, CAP_MKNOD, secure,
};

/// All there are.
pub const ALL: u64 = (1 << (CAP_LAST_CAP + 1)) - 1;

/// Those that go with the user number for files.
const FOR_FILES: u64 = set_of(&[
    CAP_CHOWN,
    CAP_MKNOD,
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    CAP_FOWNER,
    CAP_FSETID,
    CAP_LINUX_IMMUTABLE,
    CAP_MAC_OVERRIDE,
]);

const fn set_of(capabilities: &[u32]) -> u64 {
    let (mut set, mut at) = (0, 0);
    while at < capabilities.len() {
        set |= 1 << capabilities[at];
        at += 1;
    }
    set
}

/// The sets of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// What may be kept over execve(2).
    pub inheritable: u64,
    /// What may be made to count.
    pub permitted: u64,
    /// What counts.
    pub effective: u64,
    /// What can be had at all.
    pub bounding: u64,
    /// What a program without rights of its own keeps.
    pub ambient: u64,
    /// `abi::capability::secure`.
    pub secure: u32,
}

impl Capabilities {
    /// Root's at the start.
    pub const ROOT: Self =
        Capabilities { inheritable: 0, permitted: ALL, effective: ALL, bounding: ALL, ambient: 0, secure: 0 };

    /// Whether `bit` of the secure ones is set.
    pub fn is_secure(&self, bit: u32) -> bool {
        self.secure & bit != 0
    }

    /// New sets by capset(2), as far as the old ones allow; None if they do not. `free`: any inheritable ones.
    pub fn set(&self, effective: u64, permitted: u64, inheritable: u64, free: bool) -> Option<Self> {
        let is_in = |part: u64, whole: u64| part & !whole == 0;
        let inherits = is_in(inheritable, self.inheritable | self.bounding)
            && (free || is_in(inheritable, self.inheritable | self.permitted));
        if !inherits || !is_in(permitted, self.permitted) || !is_in(effective, permitted) {
            return None;
        }
        let ambient = self.ambient & permitted & inheritable;
        Some(Capabilities { inheritable, permitted, effective, ambient, ..*self })
    }

    /// The user numbers (real, effective, saved) were `before` and are `now`: capabilities come and go with user 0.
    pub fn follow_user(&mut self, before: [u32; 3], now: [u32; 3]) {
        if self.is_secure(secure::NO_SETUID_FIXUP) {
            return;
        }
        if before.contains(&0) && !now.contains(&0) {
            if !self.is_secure(secure::KEEP_CAPS) {
                self.permitted = 0;
                self.effective = 0;
            }
            self.ambient = 0;
        }
        match (before[1] == 0, now[1] == 0) {
            (true, false) => self.effective = 0,
            (false, true) => self.effective = self.permitted,
            _ => {}
        }
    }

    /// The user number for files alone was `before` and is `now`.
    pub fn follow_file_user(&mut self, before: u32, now: u32) {
        if self.is_secure(secure::NO_SETUID_FIXUP) {
            return;
        }
        match (before == 0, now == 0) {
            (true, false) => self.effective &= !FOR_FILES,
            (false, true) => self.effective |= self.permitted & FOR_FILES,
            _ => {}
        }
    }

    /// What a program has that is executed by user numbers `real` and `effective`. `changes`: they are not the caller's own.
    pub fn at_execution(&mut self, real: u32, effective: u32, changes: bool) {
        if changes {
            self.ambient = 0;
        }
        let has_root = !self.is_secure(secure::NO_ROOT);
        let is_root = |id: u32| id == 0 && has_root;
        let permitted = if is_root(effective) || is_root(real) { self.bounding | self.inheritable } else { 0 };
        self.permitted = permitted | self.ambient;
        self.effective = if is_root(effective) { self.permitted } else { self.ambient };
        self.secure &= !secure::KEEP_CAPS;
    }
}
