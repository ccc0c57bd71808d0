//! What the boot loader told, copied out of its memory before that is reused.
//!
//! The `multiboot2` crate reads the tags (Multiboot2 specification 3.6); everything kept is in fixed arrays, since there
//! is no allocator yet. Nothing here points into boot-loader memory but the ELF symbol sections, which the frame
//! allocator leaves out.

use crate::addr::{PHYS_BASE, PhysAddr};
pub use crate::io::framebuffer::Layout as Framebuffer;
use multiboot2::{
    BootInformation, BootInformationHeader, ElfSectionExt, ElfSectionType, FramebufferType, MemoryAreaType,
};

/// Most memory areas kept; further ones are ignored, which only loses memory.
const MAX_AREAS: usize = 128;
const MAX_MODULES: usize = 8;
/// Longest command line kept, in bytes.
pub const COMMAND_LINE_LEN: usize = 4096;

/// What a memory area is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AreaKind {
    /// Free for the kernel.
    Usable,
    /// ACPI tables, or memory the firmware goes on using: RAM, but not ours.
    Firmware,
    /// Not memory, or not to be touched.
    Reserved,
}

/// One piece of the physical address space.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// What it is for.
    pub kind: AreaKind,
}

/// A screen of characters: two bytes each, code and colours, as VGA has them.
#[derive(Clone, Copy, Debug)]
pub struct TextScreen {
    /// Of the first character.
    pub address: PhysAddr,
    /// Bytes from one line to the next.
    pub pitch: u32,
    /// Characters.
    pub columns: u32,
    /// Characters.
    pub rows: u32,
}

/// Where GRUB put the kernel's symbol and string tables.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "start and length in bytes")]
pub struct SymbolSections {
    pub symbols: PhysAddr,
    pub symbols_len: usize,
    pub strings: PhysAddr,
    pub strings_len: usize,
}

/// Where the root of the ACPI tables is, from the RSDP that the boot loader found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcpiRoot {
    /// RSDT with 32-bit entries.
    Rsdt(PhysAddr),
    /// XSDT with 64-bit entries.
    Xsdt(PhysAddr),
}

/// All that is kept.
pub struct BootInfo {
    command_line: [u8; COMMAND_LINE_LEN],
    command_line_len: usize,
    loader: [u8; 64],
    loader_len: usize,
    areas: [Area; MAX_AREAS],
    area_count: usize,
    modules: [(u64, u64); MAX_MODULES],
    module_count: usize,
    /// The screen, if GRUB set a graphics mode.
    pub framebuffer: Option<Framebuffer>,
    /// The screen, if it is in text mode.
    pub text_screen: Option<TextScreen>,
    /// Root of the ACPI tables, if the firmware has any.
    pub acpi_root: Option<AcpiRoot>,
    /// The kernel's own symbols.
    pub symbols: Option<SymbolSections>,
    /// Physical range of the table behind stack traces (`klib::traces`).
    pub traces: Option<(u64, u64)>,
}

impl BootInfo {
    /// The command line as GRUB passed it, quoting and all.
    pub fn raw_command_line(&self) -> &str {
        text(&self.command_line[..self.command_line_len])
    }

    /// Name of the boot loader.
    pub fn loader(&self) -> &str {
        text(&self.loader[..self.loader_len])
    }

    /// The memory map.
    pub fn areas(&self) -> &[Area] {
        &self.areas[..self.area_count]
    }

    /// Physical ranges of the boot modules.
    pub fn modules(&self) -> &[(u64, u64)] {
        &self.modules[..self.module_count]
    }

    fn empty() -> Self {
        BootInfo {
            command_line: [0; COMMAND_LINE_LEN],
            command_line_len: 0,
            loader: [0; 64],
            loader_len: 0,
            areas: [Area { start: 0, end: 0, kind: AreaKind::Reserved }; MAX_AREAS],
            area_count: 0,
            modules: [(0, 0); MAX_MODULES],
            module_count: 0,
            framebuffer: None,
            text_screen: None,
            acpi_root: None,
            symbols: None,
            traces: None,
        }
    }
}

/// Reads the information at physical `address`; None if it is malformed.
///
/// # Safety
/// 1. `address` is what GRUB passed in ebx, below 4 GiB, and its memory is as GRUB left it.
/// 2. The first page tables are in use, so that the first 4 GiB are mapped at [`PHYS_BASE`].
pub(crate) unsafe fn read(address: u32) -> Option<BootInfo> {
    let pointer = (PHYS_BASE + u64::from(address)) as *const BootInformationHeader;
    // SAFETY: (1) the caller's promises: mapped, initialised, not written meanwhile.
    let source = unsafe { BootInformation::load(pointer) }.ok()?;
    let mut info = BootInfo::empty();
    if let Some(Ok(line)) = source.command_line_tag().map(|tag| tag.cmdline()) {
        info.command_line_len = copy_text(line, &mut info.command_line);
    }
    if let Some(Ok(name)) = source.boot_loader_name_tag().map(|tag| tag.name()) {
        info.loader_len = copy_text(name, &mut info.loader);
    }
    copy_areas(&source, &mut info);
    for module in source.module_tags().take(MAX_MODULES) {
        let range = (module.start_address().into(), module.end_address().into());
        info.modules[info.module_count] = range;
        info.module_count += 1;
        // `grub.cfg` says what each is for.
        if module.cmdline() == Ok("traces") {
            info.traces = Some(range);
        }
    }
    (info.framebuffer, info.text_screen) = screen(&source);
    info.acpi_root = acpi_root(&source);
    info.symbols = symbols(&source);
    Some(info)
}

fn copy_areas(source: &BootInformation<'_>, info: &mut BootInfo) {
    let Some(map) = source.memory_map_tag() else { return };
    for area in map.memory_areas().iter().take(MAX_AREAS) {
        let kind = match area.typ() {
            MemoryAreaType::Available => AreaKind::Usable,
            MemoryAreaType::AcpiAvailable | MemoryAreaType::ReservedHibernate => AreaKind::Firmware,
            _ => AreaKind::Reserved,
        };
        let end = area.start_address().saturating_add(area.size());
        info.areas[info.area_count] = Area { start: area.start_address(), end, kind };
        info.area_count += 1;
    }
}

fn screen(source: &BootInformation<'_>) -> (Option<Framebuffer>, Option<TextScreen>) {
    let Some(Ok(tag)) = source.framebuffer_tag() else { return (None, None) };
    let address = PhysAddr::new(tag.address());
    match tag.buffer_type() {
        Ok(FramebufferType::RGB { red, green, blue }) => {
            let framebuffer = Framebuffer {
                address,
                pitch: tag.pitch(),
                width: tag.width(),
                height: tag.height(),
                bits_per_pixel: tag.bpp(),
                red: (red.position, red.size),
                green: (green.position, green.size),
                blue: (blue.position, blue.size),
            };
            (Some(framebuffer), None)
        }
        Ok(FramebufferType::Text) => {
            let text = TextScreen { address, pitch: tag.pitch(), columns: tag.width(), rows: tag.height() };
            (None, Some(text))
        }
        // Colours by a palette: there is no driver for such.
        Ok(FramebufferType::Indexed { .. }) | Err(_) => (None, None),
    }
}

/// Version 2 counts if it is whole, else version 1 (ACPI 6.5, 5.2.5.3).
fn acpi_root(source: &BootInformation<'_>) -> Option<AcpiRoot> {
    if let Some(tag) = source.rsdp_v2_tag().filter(|tag| tag.checksum_is_valid() && tag.xsdt_address() != 0) {
        return Some(AcpiRoot::Xsdt(PhysAddr::new(tag.xsdt_address() as u64)));
    }
    let tag = source.rsdp_v1_tag().filter(|tag| tag.checksum_is_valid())?;
    Some(AcpiRoot::Rsdt(PhysAddr::new(tag.rsdt_address() as u64)))
}

fn symbols(source: &BootInformation<'_>) -> Option<SymbolSections> {
    // The crate panics on an entry size that is neither ELF32's nor ELF64's.
    let tag = source.elf_sections_tag().filter(|tag| tag.entry_size() == 64)?;
    let table = tag.sections().find(|section| section.section_type() == ElfSectionType::LinkerSymbolTable)?;
    let strings = tag.sections().nth(table.sh_link as usize)?;
    (table.sh_addr != 0 && strings.sh_addr != 0).then(|| SymbolSections {
        symbols: PhysAddr::new(table.sh_addr),
        symbols_len: table.sh_size as usize,
        strings: PhysAddr::new(strings.sh_addr),
        strings_len: strings.sh_size as usize,
    })
}

/// Copies as much of `from` as fits, cut between characters; returns the length.
fn copy_text(from: &str, to: &mut [u8]) -> usize {
    let mut len = from.len().min(to.len());
    while !from.is_char_boundary(len) {
        len -= 1;
    }
    to[..len].copy_from_slice(&from.as_bytes()[..len]);
    len
}

fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("")
}
