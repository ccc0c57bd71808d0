//! What the CPU tells about a machine check (SDM volume 3, 16.3): an error of the hardware itself.

use super::msr;
use core::fmt::{self, Write};

/// MCG_CAP, MCG_STATUS, and the first bank's MCi_STATUS; each bank has four registers.
const CAPABILITIES: u32 = 0x179;
const STATUS: u32 = 0x17a;
const BANK_STATUS: u32 = 0x401;
const BANK_REGISTERS: u32 = 4;

const VALID: u64 = 1 << 63;
const OVERFLOW: u64 = 1 << 62;
const UNCORRECTED: u64 = 1 << 61;
const MISC_VALID: u64 = 1 << 59;
const ADDRESS_VALID: u64 = 1 << 58;
const CONTEXT_CORRUPT: u64 = 1 << 57;

/// Writes a line for each bank that has an error. Only for a CPU that has raised a machine check.
pub(crate) fn describe(out: &mut dyn Write) -> fmt::Result {
    // SAFETY: (1) a CPU that raises machine checks has these registers; reading changes nothing.
    let (capabilities, status) = unsafe { (msr::read(CAPABILITIES), msr::read(STATUS)) };
    write!(out, "\nthe hardware reports an error; global status {status:#x}")?;
    for bank in 0..(capabilities & 0xff) as u32 {
        let first = BANK_STATUS + bank * BANK_REGISTERS;
        // SAFETY: (1) the CPU has as many banks as MCG_CAP says.
        let status = unsafe { msr::read(first) };
        if status & VALID == 0 {
            continue;
        }
        let words = [(UNCORRECTED, "uncorrected"), (OVERFLOW, "overflow"), (CONTEXT_CORRUPT, "context corrupt")];
        write!(out, "\n  bank {bank}: status {status:#018x}, error code {:#06x}", status & 0xffff)?;
        for (_, word) in words.iter().filter(|(bit, _)| status & bit != 0) {
            write!(out, ", {word}")?;
        }
        if status & ADDRESS_VALID != 0 {
            // SAFETY: (1) the status says that the register is valid, so it exists.
            write!(out, ", address {:#x}", unsafe { msr::read(first + 1) })?;
        }
        if status & MISC_VALID != 0 {
            // SAFETY: (1) as above.
            write!(out, ", misc {:#x}", unsafe { msr::read(first + 2) })?;
        }
    }
    Ok(())
}
