//! What lies on the stack after an interrupt, and the CPU's exceptions by name (SDM volume 3, 6.15).

use core::fmt;

/// Registers of interrupted code, from low to high addresses as `asm/trap.S` pushes them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "each field is the register of its name")]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}
// The CPU aligns the stack to 16 before it pushes, so the frame's end, and with it the call into Rust, is aligned.
const _: () = assert!(size_of::<TrapFrame>() == 176 && size_of::<TrapFrame>().is_multiple_of(16));

/// CPU exceptions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the SDM's")]
pub enum Exception {
    DivideError,
    Debug,
    NonMaskable,
    Breakpoint,
    Overflow,
    BoundRange,
    InvalidOpcode,
    DeviceNotAvailable,
    DoubleFault,
    InvalidTss,
    SegmentNotPresent,
    StackFault,
    GeneralProtection,
    PageFault,
    FloatingPoint,
    AlignmentCheck,
    MachineCheck,
    SimdFloatingPoint,
    Virtualization,
    ControlProtection,
    Reserved(u8),
}

impl Exception {
    /// The exception of `vector`; None from 32 on.
    pub fn from_vector(vector: u64) -> Option<Self> {
        use Exception::*;
        Some(match vector {
            0 => DivideError,
            1 => Debug,
            2 => NonMaskable,
            3 => Breakpoint,
            4 => Overflow,
            5 => BoundRange,
            6 => InvalidOpcode,
            7 => DeviceNotAvailable,
            8 => DoubleFault,
            10 => InvalidTss,
            11 => SegmentNotPresent,
            12 => StackFault,
            13 => GeneralProtection,
            14 => PageFault,
            16 => FloatingPoint,
            17 => AlignmentCheck,
            18 => MachineCheck,
            19 => SimdFloatingPoint,
            20 => Virtualization,
            21 => ControlProtection,
            other @ 0..32 => Reserved(other as u8),
            _ => return None,
        })
    }
}

impl TrapFrame {
    /// Which exception this is; None for an interrupt.
    pub fn exception(&self) -> Option<Exception> {
        Exception::from_vector(self.vector)
    }

    /// Whether the interrupted code took interrupts.
    pub fn interrupts_were_on(&self) -> bool {
        self.rflags & (1 << 9) != 0
    }

    /// Whether it was user code.
    pub fn from_user(&self) -> bool {
        self.cs & 3 != 0
    }

    /// Says what happened in words, with the error code decoded.
    pub fn describe(&self, f: &mut dyn fmt::Write, cr2: u64) -> fmt::Result {
        match self.exception() {
            Some(Exception::PageFault) => self.describe_page_fault(f, cr2),
            Some(exception) => {
                write!(f, "{exception:?}")?;
                if self.error != 0 {
                    let table = ["GDT", "IDT", "LDT", "IDT"][(self.error >> 1 & 3) as usize];
                    write!(f, ", error code {:#x} ({table} entry {:#x})", self.error, self.error >> 3)?;
                }
                Ok(())
            }
            None => write!(f, "interrupt {}", self.vector),
        }
    }

    /// SDM volume 3, figure 4-12.
    fn describe_page_fault(&self, f: &mut dyn fmt::Write, cr2: u64) -> fmt::Result {
        let bit = |number: u32| self.error >> number & 1 != 0;
        let what = if bit(4) {
            "instruction fetch"
        } else if bit(1) {
            "write"
        } else {
            "read"
        };
        let mode = if bit(2) { "user" } else { "kernel" };
        let why = if bit(3) {
            "reserved bit set in a page-table entry"
        } else if bit(0) {
            "protection violation"
        } else {
            "page not present"
        };
        write!(f, "PageFault: {mode} {what} at {cr2:#x}: {why} (error code {:#x})", self.error)
    }
}

impl fmt::Display for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: [[(&str, u64); 4]; 4] = [
            [("rax", self.rax), ("rbx", self.rbx), ("rcx", self.rcx), ("rdx", self.rdx)],
            [("rsi", self.rsi), ("rdi", self.rdi), ("rbp", self.rbp), ("rsp", self.rsp)],
            [("r8 ", self.r8), ("r9 ", self.r9), ("r10", self.r10), ("r11", self.r11)],
            [("r12", self.r12), ("r13", self.r13), ("r14", self.r14), ("r15", self.r15)],
        ];
        for row in rows {
            for (name, value) in row {
                write!(f, "  {name} {value:016x}")?;
            }
            writeln!(f)?;
        }
        write!(f, "  rip {:016x}  flags {:08x}  cs {:02x}  ss {:02x}", self.rip, self.rflags, self.cs, self.ss)
    }
}
