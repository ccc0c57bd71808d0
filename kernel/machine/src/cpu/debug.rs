//! Debug registers of user tasks: addresses at which the CPU itself stops a program (SDM volume 3, 18.2).
//!
//! They are loaded at a switch, and only for tasks that have any, so they are in force in the kernel, too. That is why they
//! hold only addresses of programs, and why a hit in kernel mode, by a copy from or to user memory, leads to nothing
//! (`trap`): what the kernel reads or writes for a program is not seen.

use crate::addr::USER_END;
use core::arch::asm;

/// Of DR7: which of the four are on, and what for. The two bits between are without effect in 64-bit mode.
const ENABLED: u64 = 0xff;
const EXACT: u64 = 0x300;
const KINDS_SHIFT: usize = 16;
/// What is stopped at: execution, stores, (ports,) loads and stores.
const EXECUTES: u64 = 0;
const PORTS: u64 = 2;
/// Reads as one.
const CONTROL_ALWAYS: u64 = 1 << 10;
/// DR6 when nothing has happened.
const STATUS_NONE: u64 = 0xffff_0ff0;
/// Of DR6: which of the four were hit; a single step.
const STATUS_BITS: u64 = 0x400f;
/// Which of the four were hit.
pub(crate) const HITS: u64 = 0xf;

/// The four addresses, what was hit, and what to look for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DebugRegisters {
    addresses: [u64; 4],
    status: u64,
    control: u64,
}

/// The CPU or the kernel would not have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadDebugRegister;

impl DebugRegisters {
    /// Register DR`number`; the two that there are not are 0.
    pub fn get(&self, number: usize) -> u64 {
        match number {
            0..=3 => self.addresses[number],
            6 => self.status,
            7 => self.control,
            _ => 0,
        }
    }

    /// Sets register DR`number`. Nothing is set if it is not one that programs may have.
    pub fn set(&mut self, number: usize, value: u64) -> Result<(), BadDebugRegister> {
        let mut new = *self;
        match number {
            0..=3 => new.addresses[number] = value,
            6 => new.status = value & STATUS_BITS,
            7 => new.control = value & !CONTROL_ALWAYS,
            _ => return Err(BadDebugRegister),
        }
        if !new.is_sound() {
            return Err(BadDebugRegister);
        }
        *self = new;
        Ok(())
    }

    /// Whether they look for anything.
    pub fn is_used(&self) -> bool {
        self.control & ENABLED != 0
    }

    /// Whether an instruction at which the program stopped is one of the addresses: it has not been executed yet.
    pub fn stops_at_execution(&self, status: u64) -> bool {
        (0..4).any(|at| status & 1 << at != 0 && self.kind(at) & 3 == EXECUTES)
    }

    /// Two bits that say what is looked for, and above them two about how many bytes.
    fn kind(&self, at: usize) -> u64 {
        self.control >> (KINDS_SHIFT + 4 * at) & 0xf
    }

    fn is_sound(&self) -> bool {
        let known = ENABLED | EXACT | 0xffff << KINDS_SHIFT;
        let sound = |at: usize| {
            let (kind, address) = (self.kind(at), self.addresses[at]);
            let len = [1, 2, 8, 4][(kind >> 2) as usize];
            let is_on = self.control >> (2 * at) & 3 != 0;
            !is_on || kind & 3 != PORTS && (kind & 3 != EXECUTES || len == 1) && address.is_multiple_of(len)
        };
        self.control & !known == 0 && self.addresses.iter().all(|&address| address < USER_END) && (0..4).all(sound)
    }

    /// Notes what the CPU has found.
    pub(crate) fn note(&mut self, status: u64) {
        self.status = status;
    }

    pub(crate) fn load(&self) {
        let [first, second, third, fourth] = self.addresses;
        // SAFETY: (1) addresses of programs, so that nothing of the kernel's own is stopped at; (2) the control register has
        // no bit that protects these registers, or that the CPU would refuse: `set` has looked.
        unsafe {
            asm!(
                "mov dr0, {0}", "mov dr1, {1}", "mov dr2, {2}", "mov dr3, {3}", "mov dr7, {4}",
                in(reg) first, in(reg) second, in(reg) third, in(reg) fourth, in(reg) self.control | CONTROL_ALWAYS,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Nothing is looked for from now on.
pub(crate) fn unload() {
    // SAFETY: (1) all off.
    unsafe { asm!("mov dr7, {}", in(reg) CONTROL_ALWAYS, options(nostack, preserves_flags)) };
}

/// What the CPU found ([`STATUS_BITS`]), and forgets now.
pub(crate) fn take_status() -> u64 {
    let status: u64;
    // SAFETY: (1) DR6 tells, and is for the kernel to clear.
    unsafe {
        asm!("mov {0}, dr6", "mov dr6, {1}", out(reg) status, in(reg) STATUS_NONE, options(nostack, preserves_flags));
    }
    status & STATUS_BITS
}
