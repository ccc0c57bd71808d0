//! Finding the functions: from the first bus of each segment on, through the bridges the firmware has set up.

use super::bar::{self, Bar};
use super::claim::{COMMAND, COMMAND_IO, COMMAND_MEMORY, COMMAND_NO_PIN_INTERRUPT};
use super::config::{Access, Address, ConfigSpace};
use super::{Function, capability};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use klib::sort::sort_by;
use machine::acpi;

/// Offsets in the header that all functions have (PCI 3.0, 6.1), and of a bridge's bus number (PCI bridge 1.2, 3.2).
const VENDOR: u16 = 0x00;
const CLASS: u16 = 0x08;
const HEADER_TYPE: u16 = 0x0e;
const SECONDARY_BUS: u16 = 0x19;
const SUBSYSTEM: u16 = 0x2c;
const MULTI_FUNCTION: u8 = 0x80;
/// Vendor id that is read where nothing is.
const NO_VENDOR: u16 = 0xffff;

/// All functions, by address. A bus that cannot be reached is logged and left out.
pub fn enumerate() -> Vec<Arc<Function>> {
    let mut functions = Vec::new();
    let segments = &acpi::platform().pci;
    for segment in segments {
        let base = segment.base;
        scan_buses(segment.segment, segment.start_bus, segment.end_bus, &mut functions, |bus| {
            match Access::memory(base, bus) {
                Ok(access) => Some(access),
                Err(error) => {
                    log::error!("PCI bus {bus:02x}: configuration space: {error}");
                    None
                }
            }
        });
    }
    if segments.is_empty() {
        scan_buses(0, 0, u8::MAX, &mut functions, |_| Some(Access::Ports));
    }
    sort_by(&mut functions, |a, b| a.address < b.address);
    bar::limit_by_neighbours(functions.iter_mut().flat_map(|function: &mut Function| &mut function.bars));
    functions.into_iter().map(Arc::new).collect()
}

/// Scans bus `first` and all that bridges lead to, each once and none outside `first..=last`.
fn scan_buses(segment: u16, first: u8, last: u8, functions: &mut Vec<Function>, access: impl Fn(u8) -> Option<Access>) {
    let mut seen = [false; 256];
    let mut waiting = Vec::from([first]);
    seen[usize::from(first)] = true;
    while let Some(bus) = waiting.pop() {
        let Some(access) = access(bus) else { continue };
        for device in 0..32 {
            scan_device(&access, Address { segment, bus, device, function: 0 }, |function| {
                if let Some(behind) = bus_behind(&function) {
                    let new = (first..=last).contains(&behind) && !seen[usize::from(behind)];
                    if new {
                        seen[usize::from(behind)] = true;
                        waiting.push(behind);
                    }
                }
                functions.push(function);
            });
        }
    }
}

/// Reads all functions of the device whose function 0 is at `first`.
fn scan_device(access: &Access, first: Address, mut found: impl FnMut(Function)) {
    for number in 0..8 {
        let config = ConfigSpace::new(access.clone(), Address { function: number, ..first });
        if config.read_u16(VENDOR) == NO_VENDOR {
            if number == 0 {
                return;
            }
            continue;
        }
        let multi_function = config.read_u8(HEADER_TYPE) & MULTI_FUNCTION != 0;
        found(read_function(config, Address { function: number, ..first }));
        if number == 0 && !multi_function {
            return;
        }
    }
}

fn read_function(config: ConfigSpace, address: Address) -> Function {
    let ids = config.read_u32(VENDOR);
    let class = config.read_u32(CLASS).to_le_bytes();
    let header_type = config.read_u8(HEADER_TYPE) & !MULTI_FUNCTION;
    let subsystem = if header_type == 0 { config.read_u32(SUBSYSTEM) } else { 0 };
    if header_type == 0 {
        // What the firmware has left raised would hold a line that others share. Written to the status register, zeros change
        // nothing.
        config.write_u32(COMMAND, (config.read_u16(COMMAND) | COMMAND_NO_PIN_INTERRUPT).into());
    }
    Function {
        address,
        vendor: ids as u16,
        device: (ids >> 16) as u16,
        subsystem: (subsystem as u16, (subsystem >> 16) as u16),
        class: [class[3], class[2], class[1]],
        revision: class[0],
        header_type,
        bars: read_bars(&config, header_type),
        capabilities: capability::list(&config),
        config,
        claimed: AtomicBool::new(false),
    }
}

fn read_bars(config: &ConfigSpace, header_type: u8) -> Vec<Bar> {
    let count = match header_type {
        0 => 6,
        1 => 2,
        _ => 0,
    };
    let switched_on = config.read_u16(COMMAND) & (COMMAND_IO | COMMAND_MEMORY) != 0;
    bar::read(config, count, !switched_on)
}

/// The bus behind a bridge between PCI buses.
fn bus_behind(function: &Function) -> Option<u8> {
    let is_bridge = function.header_type == 1 && function.class[..2] == [0x06, 0x04];
    // Bus 0 is what a bridge that the firmware has not set up says.
    is_bridge.then(|| function.config().read_u8(SECONDARY_BUS)).filter(|&bus| bus != 0)
}
