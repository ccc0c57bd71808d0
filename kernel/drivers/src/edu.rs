//! QEMU's device for teaching, as far as it raises interrupts when it is told to (QEMU, docs/specs/edu): by MSI or by its
//! pin, so that both ways can be tried. No driver takes it at boot.

use crate::driver::{ProbeError, next_cpu};
use crate::pci::{Claim, Function, Interrupts};
use alloc::boxed::Box;
use alloc::sync::Arc;
use machine::io::Mmio;
use machine::io::registers::{ReadOnly, Registers, WriteOnly};
use machine::irq::{Handler, IrqLine};
use macros::Registers;

/// Vendor and device id.
const ID: (u16, u16) = (0x1234, 0x11e8);
/// Bytes of the registers that are used.
const LEN: usize = 0x1000;

#[derive(Registers, Clone, Copy)]
struct Control {
    /// What was raised and not acknowledged.
    #[at(0x24)]
    raised: ReadOnly<u32>,
    /// Ones are raised.
    #[at(0x60)]
    raise: WriteOnly<u32>,
    /// Ones are acknowledged.
    #[at(0x64)]
    acknowledge: WriteOnly<u32>,
}

/// The device. Dropping it takes back what it has raised, and gives up the function.
pub struct Edu {
    control: Control,
    interrupts: Interrupts,
    _memory: Mmio,
    _claim: Claim,
}

impl Edu {
    /// Whether the function is such a device.
    pub fn matches(function: &Function) -> bool {
        (function.vendor, function.device) == ID
    }

    /// Takes the device, which interrupts by its pin, or else by the best that it has.
    pub fn open(function: &Arc<Function>, by_pin: bool) -> Result<Edu, ProbeError> {
        let mut claim = function.claim()?;
        claim.enable_memory();
        let memory = claim.map(0, 0, LEN, "edu")?;
        let control = Control::map(memory.window()).map_err(|_| ProbeError::Unusable("it has too few registers"))?;
        control.acknowledge.write(u32::MAX);
        let interrupts = if by_pin { claim.enable_pin() } else { claim.enable_interrupts() }?;
        claim.set_bus_master(true);
        Ok(Edu { control, interrupts, _memory: memory, _claim: claim })
    }

    /// Whether it interrupts by its pin.
    pub fn uses_pin(&self) -> bool {
        matches!(self.interrupts, Interrupts::Pin(_))
    }

    /// Has what it raises served by `serve`, and acknowledged; but if that is None, nothing is, as if the device were none
    /// of the handler's business.
    pub fn connect(&self, serve: Option<fn()>) -> Result<IrqLine, ProbeError> {
        let control = self.control;
        let handler: Handler = Box::new(move || {
            let Some(serve) = serve else { return false };
            let raised = control.raised.read();
            control.acknowledge.write(raised);
            if raised != 0 {
                serve();
            }
            raised != 0
        });
        Ok(self.interrupts.connect(0, "edu", next_cpu(), handler)?)
    }

    /// Raises its interrupt.
    pub fn raise(&self) {
        self.control.raise.write(1);
    }
}

impl Drop for Edu {
    fn drop(&mut self) {
        self.control.acknowledge.write(u32::MAX);
    }
}
