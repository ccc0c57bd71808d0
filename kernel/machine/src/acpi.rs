//! The platform as the firmware's ACPI tables describe it; parsing is `klib::acpi`'s.

use crate::addr::PhysAddr;
use crate::boot::info::AcpiRoot;
use crate::irq::{ApicOverride, Polarity, Trigger};
use crate::mm::{phys, space};
use crate::power::PowerRegisters;
use crate::sync::Once;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use klib::acpi::{self, AcpiError, Fadt, InterruptPolarity, InterruptTrigger, Madt, MadtEntry, McfgEntry, SdtHeader};

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
    let (address, signature) = match root {
        AcpiRoot::Rsdt(address) => (address, b"RSDT"),
        AcpiRoot::Xsdt(address) => (address, b"XSDT"),
    };
    let text = |error: AcpiError| error.to_string();
    let root = acpi::checked(map(address)?, signature).map_err(text)?;
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
    for entry in acpi::root_entries(root) {
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
            Ok(()) => has_madt |= header.signature == *b"APIC",
            Err(error) => log::warn!("ACPI: {error}"),
        }
    }
    if !has_madt {
        return Err("there is no usable MADT (table APIC)".into());
    }
    Ok(platform)
}

impl Platform {
    fn take(&mut self, header: &SdtHeader, bytes: &[u8]) -> Result<(), AcpiError> {
        let table = acpi::checked(bytes, &header.signature)?;
        match &header.signature {
            b"APIC" => self.take_madt(Madt::parse(table)?),
            b"MCFG" => self.pci.extend(acpi::mcfg_entries(table)),
            b"HPET" => self.hpet = acpi::hpet_address(table).map(PhysAddr::new),
            b"FACP" => self.take_fadt(&Fadt::parse(table)?),
            _ => {}
        }
        Ok(())
    }

    fn take_madt(&mut self, madt: Madt<'_>) {
        self.local_apic = PhysAddr::new(madt.local_apic.into());
        for entry in madt.entries() {
            match entry {
                MadtEntry::LocalApic { apic_id, enabled: true, .. } => self.add_cpu(apic_id.into()),
                MadtEntry::LocalX2Apic { x2apic_id, enabled: true, .. } => self.add_cpu(x2apic_id),
                MadtEntry::IoApic { address, gsi_base, .. } => {
                    self.io_apics.push((PhysAddr::new(address.into()), gsi_base));
                }
                MadtEntry::InterruptOverride { isa, gsi, polarity, trigger } => {
                    self.overrides.push(ApicOverride {
                        isa,
                        gsi,
                        // "As the bus does" is ISA's way here.
                        polarity: match polarity {
                            InterruptPolarity::ActiveLow => Polarity::ActiveLow,
                            _ => Polarity::ActiveHigh,
                        },
                        trigger: match trigger {
                            InterruptTrigger::Level => Trigger::Level,
                            _ => Trigger::Edge,
                        },
                    });
                }
                MadtEntry::LocalApicAddress { address } => self.local_apic = PhysAddr::new(address),
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
        self.has_8042 = fadt.has_8042;
        let port = |value: u32| u16::try_from(value).unwrap_or(0);
        self.power.pm1_control = fadt.pm1_control.map(port);
        self.power.reset = fadt
            .reset
            .filter(|(register, _)| register.space == 1)
            .and_then(|(register, value)| Some((u16::try_from(register.address).ok()?, value)));
        self.power.enable = (fadt.smi_command != 0 && fadt.acpi_enable != 0)
            .then_some((port(fadt.smi_command), fadt.acpi_enable))
            .filter(|(port, _)| *port != 0);
        match map(PhysAddr::new(fadt.dsdt)) {
            Ok(dsdt) => self.power.s5 = acpi::s5_sleep_type(dsdt),
            Err(error) => log::warn!("ACPI: DSDT at {:#x}: {error}", fadt.dsdt),
        }
    }
}

/// The bytes of the table at `address`, as many as its header says.
fn map(address: PhysAddr) -> Result<&'static [u8], String> {
    let header = bytes(address, acpi::HEADER_LEN)?;
    let header = SdtHeader::parse(header).map_err(|error| error.to_string())?;
    bytes(address, header.length as usize)
}

/// Firmware memory, through the physical map where it is marked as such, else (in memory the map calls reserved)
/// through a mapping of its own.
fn bytes(address: PhysAddr, len: usize) -> Result<&'static [u8], String> {
    match phys::bytes(address, len) {
        Some(bytes) => Ok(bytes),
        None => space::map_firmware(address, len).map_err(|error| error.to_string()),
    }
}
