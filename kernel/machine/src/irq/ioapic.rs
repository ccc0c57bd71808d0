//! I/O APICs: which global system interrupt raises which vector where (82093AA datasheet; ACPI 6.5, 5.2.12).
//!
//! Every pin is masked until it is routed, and raises one vector. Lock: `STATE`, rank `Interrupt`.

use super::{IrqError, lapic};
use crate::addr::PhysAddr;
use crate::cpu::CpuId;
use crate::io::Mmio;
use crate::sync::{IrqLock, Rank};
use alloc::vec::Vec;

const SELECT: usize = 0x00;
const WINDOW: usize = 0x10;
const REGISTER_VERSION: u32 = 1;
const REGISTER_REDIRECTION: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// Which level means "interrupt".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Polarity {
    /// ISA's default.
    ActiveHigh,
    /// PCI's.
    ActiveLow,
}

/// Whether a change or the level counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// ISA's default.
    Edge,
    /// PCI's.
    Level,
}

/// Where the firmware says an ISA interrupt is wired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Override {
    pub isa: u8,
    pub gsi: u32,
    pub polarity: Polarity,
    pub trigger: Trigger,
}

struct IoApic {
    registers: Mmio,
    first_gsi: u32,
    /// Vector that each pin raises.
    pins: Vec<Option<u8>>,
}

struct State {
    controllers: Vec<IoApic>,
    overrides: Vec<Override>,
}

static STATE: IrqLock<State> =
    IrqLock::new("I/O APICs", Rank::Interrupt, State { controllers: Vec::new(), overrides: Vec::new() });

/// Takes over the controllers that the MADT lists: address and first global interrupt of each.
pub(crate) fn init(controllers: &[(PhysAddr, u32)], overrides: Vec<Override>) {
    for &(address, first_gsi) in controllers {
        let registers = match Mmio::claim(address, 0x20, "I/O APIC") {
            Ok(registers) => registers,
            Err(error) => {
                log::warn!("I/O APIC at {address:#x}: {error}");
                continue;
            }
        };
        let mut controller = IoApic { registers, first_gsi, pins: Vec::new() };
        let pins = (controller.read(REGISTER_VERSION) >> 16 & 0xff) + 1;
        for pin in 0..pins {
            controller.write_pin(pin, MASKED, 0);
            controller.pins.push(None);
        }
        let mut controllers = STATE.lock();
        controllers.controllers.push(controller);
    }
    STATE.lock().overrides = overrides;
}

/// Global interrupt, polarity and trigger of an ISA interrupt.
pub(super) fn isa_to_gsi(isa: u8) -> (u32, Polarity, Trigger) {
    let state = STATE.lock();
    match state.overrides.iter().find(|entry| entry.isa == isa) {
        Some(entry) => (entry.gsi, entry.polarity, entry.trigger),
        None => (isa.into(), Polarity::ActiveHigh, Trigger::Edge),
    }
}

/// Global interrupt and polarity of a PCI function's pin, whose Interrupt Line register holds `line`.
///
/// How pins are wired to the I/O APIC is told by methods in AML, which is not read here. What is relied on is that the
/// firmware has set up the interrupt router for the 8259 and left its choice in that register (PCI 3.0, 6.2.4), and that the
/// router's outputs reach the I/O APIC as any ISA interrupt does, by the MADT's overrides: so it is on PCs with a PIIX3 or an
/// ICH9, as emulated by QEMU with SeaBIOS or OVMF. Without an override a PCI interrupt is active low.
pub(super) fn pci_to_gsi(line: u8) -> (u32, Polarity) {
    let state = STATE.lock();
    let wired = state.overrides.iter().find(|entry| entry.isa == line);
    wired.map_or((line.into(), Polarity::ActiveLow), |entry| (entry.gsi, entry.polarity))
}

/// Lets `gsi` raise `vector` on `cpu`.
pub(super) fn route(gsi: u32, vector: u8, polarity: Polarity, trigger: Trigger, cpu: CpuId) -> Result<(), IrqError> {
    let mut state = STATE.lock();
    let controller = state
        .controllers
        .iter_mut()
        .find(|controller| {
            gsi.checked_sub(controller.first_gsi).is_some_and(|pin| (pin as usize) < controller.pins.len())
        })
        .ok_or(IrqError::NoSuchGsi(gsi))?;
    let pin = gsi - controller.first_gsi;
    let owner = &mut controller.pins[pin as usize];
    if owner.is_some() {
        return Err(IrqError::Assigned(gsi));
    }
    *owner = Some(vector);
    let mut low = u32::from(vector);
    if polarity == Polarity::ActiveLow {
        low |= ACTIVE_LOW;
    }
    if trigger == Trigger::Level {
        low |= LEVEL;
    }
    controller.write_pin(pin, low, lapic::id_of(cpu) << 24);
    Ok(())
}

/// Masks whatever pins raise `vector`, and frees them.
pub(super) fn unroute(vector: u8) {
    for_pins_of(vector, |owner| *owner = None);
}

/// Masks whatever pins raise `vector`; they stay its own.
pub(super) fn mask(vector: u8) {
    for_pins_of(vector, |_| {});
}

/// Masks the pins of `vector`, and calls `with` for each.
fn for_pins_of(vector: u8, with: impl Fn(&mut Option<u8>)) {
    let mut state = STATE.lock();
    for controller in &mut state.controllers {
        for pin in 0..controller.pins.len() {
            if controller.pins[pin] == Some(vector) {
                controller.write_pin(pin as u32, MASKED, 0);
                with(&mut controller.pins[pin]);
            }
        }
    }
}

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        self.registers.write(SELECT, register);
        self.registers.read(WINDOW)
    }

    fn write(&self, register: u32, value: u32) {
        self.registers.write(SELECT, register);
        self.registers.write(WINDOW, value);
    }

    /// Sets a redirection entry; masked while it is half written.
    fn write_pin(&self, pin: u32, low: u32, high: u32) {
        let register = REGISTER_REDIRECTION + 2 * pin;
        self.write(register, MASKED);
        self.write(register + 1, high);
        self.write(register, low);
    }
}
