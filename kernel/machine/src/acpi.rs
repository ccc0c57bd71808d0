//! The platform as the firmware's ACPI tables describe it; parsing is `klib::acpi`'s.

use crate::addr::PhysAddr;
use crate::boot::info::AcpiRoot;
use crate::irq::{ApicOverride, Polarity, Trigger};
use crate::mm::{phys, space};
use crate::power::PowerRegisters;
use crate::sync::Once;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use klib::acpi::{self, AcpiError, Fadt, GenericAddress, Hpet, Madt, MadtEntry, Mcfg, McfgEntry, SdtHeader, Signature};

/// What the tables say.
#[derive(Clone, Debug)]
pub struct Platform {
    /// All tables found: address and header.
    pub tables: Vec<(PhysAddr, SdtHeader)>,
    /// Local APIC ids of the usable CPUs.
    pub cpus: Vec<u32>,
    /// PCI configuration spaces.
    pub pci: Vec<McfgEntry>,
    /// Whether there is an 8042 keyboard controller, if the tables say.
    pub has_8042: Option<bool>,
    /// Address of the HPET's registers.
    pub hpet: Option<PhysAddr>,
    pub(crate) local_apic: PhysAddr,
    pub(crate) io_apics: Vec<(PhysAddr, u32)>,
    pub(crate) overrides: Vec<ApicOverride>,
    pub(crate) power: PowerRegisters,
}

static PLATFORM: Once<Platform> = Once::new();

/// The platform, once the boot code has read it.
pub fn platform() -> &'static Platform {
    match PLATFORM.get() {
        Some(platform) => platform,
        None => panic!("ACPI tables used before they are read"),
    }
}

pub(crate) fn keep(platform: Platform) {
    PLATFORM.call_once(|| platform);
}

/// Reads all tables from the root on. A damaged table other than the root and the MADT is skipped with a warning.
pub(crate) fn read(root: AcpiRoot) -> Result<Platform, String> {
    let (AcpiRoot::Rsdt(address) | AcpiRoot::Xsdt(address)) = root;
    let text = |error: AcpiError| error.to_string();
    let root = map(address)?;
    acpi::verify_checksum(root).map_err(text)?;
    let mut platform = Platform {
        tables: Vec::new(),
        cpus: Vec::new(),
        pci: Vec::new(),
        has_8042: None,
        hpet: None,
        local_apic: PhysAddr::new(0),
        io_apics: Vec::new(),
        overrides: Vec::new(),
        power: PowerRegisters::default(),
    };
    let mut has_madt = false;
    for entry in acpi::root_entries(root).map_err(text)? {
        let address = PhysAddr::new(entry);
        let bytes = match map(address) {
            Ok(bytes) => bytes,
            Err(error) => {
                log::warn!("ACPI: table at {address:#x}: {error}");
                continue;
            }
        };
        let header = SdtHeader::parse(bytes).map_err(text)?;
        platform.tables.push((address, header));
        match platform.take(&header, bytes) {
            Ok(()) => has_madt |= header.signature == Signature::MADT,
            Err(error) => log::warn!("ACPI: {error}"),
        }
    }
    if !has_madt {
        return Err("there is no usable MADT (table APIC)".into());
    }
    Ok(platform)
}

impl Platform {
    fn take(&mut self, header: &SdtHeader, table: &[u8]) -> Result<(), AcpiError> {
        acpi::verify_checksum(table)?;
        match header.signature {
            Signature::MADT => self.take_madt(&Madt::parse(table)?),
            Signature::MCFG => self.pci.extend(Mcfg::parse(table)?.entries()),
            Signature::HPET => {
                let base = Hpet::parse(table)?.base;
                self.hpet = (base.space == GenericAddress::MEMORY).then_some(PhysAddr::new(base.address));
            }
            Signature::FADT => self.take_fadt(&Fadt::parse(table)?),
            _ => {}
        }
        Ok(())
    }

    fn take_madt(&mut self, madt: &Madt<'_>) {
        self.local_apic = PhysAddr::new(madt.local_apic_base());
        for entry in madt.entries() {
            match entry {
                MadtEntry::LocalApic { apic_id, enabled: true, .. } => self.add_cpu(apic_id.into()),
                MadtEntry::LocalX2Apic { x2apic_id, enabled: true, .. } => self.add_cpu(x2apic_id),
                MadtEntry::IoApic { address, gsi_base, .. } => {
                    self.io_apics.push((PhysAddr::new(address.into()), gsi_base));
                }
                MadtEntry::InterruptOverride(wiring) => self.overrides.push(ApicOverride {
                    isa: wiring.source,
                    gsi: wiring.gsi,
                    polarity: if wiring.is_active_low() { Polarity::ActiveLow } else { Polarity::ActiveHigh },
                    trigger: if wiring.is_level_triggered() { Trigger::Level } else { Trigger::Edge },
                }),
                _ => {}
            }
        }
    }

    /// Firmware lists CPUs with ids below 255 in either form, some in both.
    fn add_cpu(&mut self, id: u32) {
        if !self.cpus.contains(&id) {
            self.cpus.push(id);
        }
    }

    fn take_fadt(&mut self, fadt: &Fadt) {
        self.has_8042 = Some(fadt.has_8042());
        let port = |register: Option<GenericAddress>| {
            register
                .filter(|register| register.space == GenericAddress::IO_PORT)
                .and_then(|register| u16::try_from(register.address).ok())
        };
        self.power.pm1_control = [fadt.pm1a_cnt_blk, fadt.pm1b_cnt_blk].map(|register| port(register).unwrap_or(0));
        self.power.reset = fadt.reset_register().and_then(|(register, value)| Some((port(Some(register))?, value)));
        self.power.enable = u16::try_from(fadt.smi_cmd)
            .ok()
            .filter(|&port| port != 0 && fadt.acpi_enable != 0)
            .map(|port| (port, fadt.acpi_enable));
        match map(PhysAddr::new(fadt.dsdt)) {
            Ok(dsdt) => self.power.s5 = acpi::s5_sleep_type(dsdt),
            Err(error) => log::warn!("ACPI: DSDT at {:#x}: {error}", fadt.dsdt),
        }
    }
}

/// The bytes of the table at `address`, as many as its header says.
fn map(address: PhysAddr) -> Result<&'static [u8], String> {
    let header = bytes(address, SdtHeader::SIZE)?;
    let (_, length) = SdtHeader::length_of(header).map_err(|error| error.to_string())?;
    bytes(address, length as usize)
}

/// Firmware memory, through the physical map where it is marked as such, else (in memory the map calls reserved)
/// through a mapping of its own.
fn bytes(address: PhysAddr, len: usize) -> Result<&'static [u8], String> {
    match phys::bytes(address, len) {
        Some(bytes) => Ok(bytes),
        None => space::map_firmware(address, len).map_err(|error| error.to_string()),
    }
}
