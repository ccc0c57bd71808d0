//! The CPU's random-number instructions (SDM volume 1, 7.3.17).

use super::features;
use core::arch::asm;

/// Tries before a generator that gives nothing is given up.
const TRIES: u32 = 10;

/// A number from RDSEED, else RDRAND; None where the CPU has neither or they give nothing.
pub fn number() -> Option<u64> {
    let features = features::get();
    for _ in 0..TRIES {
        let (value, carry): (u64, u8);
        if features.rdseed {
            // SAFETY: (1) the CPU has the instruction; it only sets its operand and the flags.
            unsafe { asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) carry, options(nomem, nostack)) };
        } else if features.rdrand {
            // SAFETY: (1) as above.
            unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) carry, options(nomem, nostack)) };
        } else {
            return None;
        }
        if carry != 0 {
            return Some(value);
        }
    }
    None
}
