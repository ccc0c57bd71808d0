//! Extended attributes, as `xattr(7)`: kept behind the fields of a large inode, and in one block that inodes of equal
//! attributes may share.
//!
//! Both places hold entries, from the start, and values. An entry says where its value is: in the block by the distance from
//! the block's start, in the inode from the first entry. In the block entries are sorted, and hashes over all of them let
//! equal blocks be found; what a writer remembers of them is [`Writer::attribute_blocks`](super::writer::Writer).

use alloc::vec::Vec;

use super::edit::{Edit, EditResult};
use super::error::{Corruption, Error, Place, Unsupported};
use super::features;
use super::field::{Field, LittleEndian};
use super::inode::{GOOD_OLD_BYTES, I_EXTRA_ISIZE, Inode};
use super::superblock::S_FEATURE_COMPAT;
use super::volume::Ext2;
use crate::{BlockStore, WriteStore};

const MAGIC: u32 = 0xea02_0000;
const H_MAGIC: Field<u32> = Field::at(0, "h_magic");
/// Inodes that share the block.
const H_REFCOUNT: Field<u32> = Field::at(4, "h_refcount");
const H_BLOCKS: Field<u32> = Field::at(8, "h_blocks");
const H_HASH: Field<u32> = Field::at(12, "h_hash");
/// Bytes of the block's header, and of that in an inode.
const BLOCK_HEADER: usize = 32;
const INODE_HEADER: usize = 4;
/// Most inodes that share a block, as Linux has it.
const MOST_SHARING: u32 = 1024;

const E_NAME_LEN: Field<u8> = Field::at(0, "e_name_len");
const E_NAME_INDEX: Field<u8> = Field::at(1, "e_name_index");
const E_VALUE_OFFS: Field<u16> = Field::at(2, "e_value_offs");
const E_VALUE_INUM: Field<u32> = Field::at(4, "e_value_inum");
const E_VALUE_SIZE: Field<u32> = Field::at(8, "e_value_size");
const E_HASH: Field<u32> = Field::at(12, "e_hash");
/// Bytes of an entry before its name.
const ENTRY_HEADER: usize = 16;
/// Zeros behind the last entry.
const TERMINATOR: usize = 4;
/// Entries, names and values begin at multiples of this.
const ALIGN: usize = 4;

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What the name begins with (`e_name_index`): 1 `user.`, 4 `trusted.`, 6 `security.`; others are kept as they are.
    pub class: u8,
    /// The rest of the name: 1 to 255 bytes.
    pub name: Vec<u8>,
    /// What it holds.
    pub value: Vec<u8>,
}

/// What must be there before an attribute is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing is asked.
    Any,
    /// No such attribute.
    Absent,
    /// Such an attribute.
    Present,
}

impl Attribute {
    fn is(&self, class: u8, name: &[u8]) -> bool {
        self.class == class && self.name == name
    }

    /// Bytes of its entry and its value.
    fn space(&self) -> usize {
        self.entry_len() + self.value.len().next_multiple_of(ALIGN)
    }

    fn entry_len(&self) -> usize {
        ENTRY_HEADER + self.name.len().next_multiple_of(ALIGN)
    }

    /// `e_hash`: over the name and the value as words.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(ALIGN).fold(name, |hash, bytes| {
            let mut word = [0; ALIGN];
            word[..bytes.len()].copy_from_slice(bytes);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

impl<S: BlockStore> Ext2<S> {
    /// All attributes of `inode`: those in the inode first.
    pub fn attributes(&self, inode: &Inode) -> Result<Vec<Attribute>, Error<S::Error>> {
        let mut found = Vec::new();
        let record = self.whole_record(inode.number)?;
        if let Some(region) = inode_region(&record)
            && H_MAGIC.get(region) == MAGIC
        {
            parse(Place::Inode(inode.number), &region[INODE_HEADER..], 0, &mut found)?;
        }
        if inode.attributes_block != 0 {
            let content = self.attributes_block(inode)?;
            parse(Place::Attributes(inode.attributes_block.into()), &content, BLOCK_HEADER, &mut found)?;
        }
        Ok(found)
    }

    /// The inode with all bytes that it has on the device.
    fn whole_record(&self, number: u32) -> Result<Vec<u8>, Error<S::Error>> {
        let (block, offset) = self.inode_place(number)?;
        let mut record = zeros(self.geometry().inode_size as usize)?;
        self.read_in_block(block, offset, &mut record)?;
        Ok(record)
    }

    /// The block of the inode's attributes, whose header is right.
    fn attributes_block(&self, inode: &Inode) -> Result<Vec<u8>, Error<S::Error>> {
        let block = u64::from(inode.attributes_block);
        let place = Place::Attributes(block);
        if !self.geometry().contains(block, 1) {
            let rule = "must lie on the device, behind the group descriptors";
            return Err(Corruption { place, field: "i_file_acl", value: block, rule }.into());
        }
        let mut content = zeros(self.geometry().block_size())?;
        self.read_in_block(block, 0, &mut content)?;
        let (magic, blocks, references) = (H_MAGIC.get(&content), H_BLOCKS.get(&content), H_REFCOUNT.get(&content));
        if magic != MAGIC {
            return Err(H_MAGIC.corrupt(place, magic, "must be 0xea020000").into());
        }
        if blocks != 1 {
            return Err(H_BLOCKS.corrupt(place, blocks, "must be 1").into());
        }
        if references == 0 {
            return Err(H_REFCOUNT.corrupt(place, references, "must count the inode that refers to it").into());
        }
        Ok(content)
    }
}

impl<S: WriteStore> Edit<'_, S> {
    /// Sets the attribute to `value`, or removes it. `NoAttribute`, `AttributeExists` by what `before` demands, or if there is
    /// none to be removed; `NoSpace` if all do not fit into the inode and one block.
    pub fn set_attribute(
        &mut self,
        inode: &mut Inode,
        (class, name): (u8, &[u8]),
        value: Option<&[u8]>,
        before: Before,
    ) -> EditResult<(), S> {
        self.attempt_on(inode, |edit, inode| {
            let mut all = edit.volume.attributes(inode)?;
            let old = all.iter().position(|attribute| attribute.is(class, name));
            if before == Before::Absent && old.is_some() {
                return Err(Error::AttributeExists { inode: inode.number });
            }
            if old.is_none() && (before == Before::Present || value.is_none()) {
                return Err(Error::NoAttribute { inode: inode.number });
            }
            if let Some(old) = old {
                all.remove(old);
            }
            if let Some(value) = value {
                edit.allow_attributes()?;
                all.try_reserve(1).map_err(|_| Error::NoMemory)?;
                all.push(Attribute { class, name: copy(name)?, value: copy(value)? });
            }
            inode.changed = edit.now;
            edit.store_attributes(inode, all)
        })
    }

    /// Marks the file system as one that has attributes.
    fn allow_attributes(&mut self) -> EditResult<(), S> {
        if self.volume.superblock().revision == 0 {
            return Err(Unsupported { field: "s_rev_level", bits: 0 }.into());
        }
        let compat = S_FEATURE_COMPAT.get(&self.volume.superblock_record()?);
        match compat & features::COMPAT_EXT_ATTR {
            0 => self.set_superblock(S_FEATURE_COMPAT, compat | features::COMPAT_EXT_ATTR),
            _ => Ok(()),
        }
    }

    /// Writes all attributes: as many as there is room for to the inode, the rest to a block.
    fn store_attributes(&mut self, inode: &mut Inode, all: Vec<Attribute>) -> EditResult<(), S> {
        let mut record = self.volume.whole_record(inode.number)?;
        let room = inode_region(&record).map_or(0, |region| region.len().saturating_sub(INODE_HEADER + TERMINATOR));
        let (mut inside, mut outside, mut used) = (Vec::new(), Vec::new(), 0);
        inside.try_reserve(all.len()).and_then(|()| outside.try_reserve(all.len())).map_err(|_| Error::NoMemory)?;
        for attribute in all {
            if used + attribute.space() <= room {
                used += attribute.space();
                inside.push(attribute);
            } else {
                outside.push(attribute);
            }
        }
        let extra = usize::from(if record.len() > GOOD_OLD_BYTES { I_EXTRA_ISIZE.get(&record) } else { 0 });
        if room > 0 {
            let start = GOOD_OLD_BYTES + extra;
            let region = &mut record[start..];
            region.fill(0);
            if !inside.is_empty() {
                H_MAGIC.put(region, MAGIC);
                lay_out(&mut region[INODE_HEADER..], 0, &inside);
            }
            let (block, offset) = self.volume.inode_place(inode.number)?;
            self.modify(block, offset + start, &record[start..])?;
        }
        self.store_outside(inode, outside)?;
        self.write_inode(inode)
    }

    /// Gives the inode a block with these attributes: the one that it has, if it is its alone, one of the same content, or a
    /// new one.
    fn store_outside(&mut self, inode: &mut Inode, mut attributes: Vec<Attribute>) -> EditResult<(), S> {
        if attributes.is_empty() {
            return self.drop_attributes(inode);
        }
        let needed: usize = attributes.iter().map(Attribute::space).sum();
        let mut content = self.block_buffer()?;
        if BLOCK_HEADER + needed + TERMINATOR > content.len() {
            return Err(Error::NoSpace);
        }
        // By class, length of the name, name: as a reader expects them that looks one up.
        for end in 1..attributes.len() {
            let key = |attribute: &Attribute| (attribute.class, attribute.name.len());
            let mut at = end;
            while at > 0
                && (key(&attributes[at - 1]), &attributes[at - 1].name) > (key(&attributes[at]), &attributes[at].name)
            {
                attributes.swap(at - 1, at);
                at -= 1;
            }
        }
        lay_out(&mut content, BLOCK_HEADER, &attributes);
        let hash = attributes.iter().fold(0u32, |hash, attribute| hash.rotate_left(16) ^ attribute.hash());
        H_MAGIC.put(&mut content, MAGIC);
        H_REFCOUNT.put(&mut content, 1);
        H_BLOCKS.put(&mut content, 1);
        H_HASH.put(&mut content, hash);
        if let Some((block, references)) = self.equal_block(hash, &content)? {
            if block == inode.attributes_block.into() {
                return Ok(());
            }
            self.drop_attributes(inode)?;
            self.modify(block, H_REFCOUNT.offset(), &(references + 1).to_le_bytes())?;
            return self.refer(inode, block);
        }
        let own = inode.attributes_block != 0 && H_REFCOUNT.get(&self.volume.attributes_block(inode)?) == 1;
        if own {
            let block = u64::from(inode.attributes_block);
            self.state.forget_attribute_block(block);
            self.state.remember_attribute_block(hash, block);
            self.replace(block, content.into_boxed_slice());
            return Ok(());
        }
        self.drop_attributes(inode)?;
        let goal = self.group_start((inode.number - 1) / self.volume.geometry().inodes_per_group);
        let block = self.take_blocks(inode, goal, 1)?.start;
        self.replace(block, content.into_boxed_slice());
        self.state.remember_attribute_block(hash, block);
        self.refer(inode, block)
    }

    fn refer(&mut self, inode: &mut Inode, block: u64) -> EditResult<(), S> {
        inode.attributes_block = block as u32;
        self.count_sectors(inode, 1)
    }

    /// A block that holds `content` but for the number of references, which more may share; and how many do.
    fn equal_block(&self, hash: u32, content: &[u8]) -> EditResult<Option<(u64, u32)>, S> {
        for &(_, block) in self.state.attribute_blocks.iter().filter(|&&(known, _)| known == hash) {
            let mut other = self.read_whole(block)?;
            let references = H_REFCOUNT.get(&other);
            H_REFCOUNT.put(&mut other, 1);
            if *other == *content && (1..MOST_SHARING).contains(&references) {
                return Ok(Some((block, references)));
            }
        }
        Ok(None)
    }

    /// Frees the block of extended attributes, or one reference to it.
    pub(super) fn drop_attributes(&mut self, inode: &mut Inode) -> EditResult<(), S> {
        if inode.attributes_block == 0 {
            return Ok(());
        }
        let references = H_REFCOUNT.get(&self.volume.attributes_block(inode)?);
        let block = u64::from(core::mem::take(&mut inode.attributes_block));
        self.count_sectors(inode, -1)?;
        match references {
            1 => {
                self.state.forget_attribute_block(block);
                self.free_blocks(block, 1, true)
            }
            _ => self.modify(block, H_REFCOUNT.offset(), &(references - 1).to_le_bytes()),
        }
    }
}

/// The part of an inode that attributes may take, with its magic number; None if there is none.
fn inode_region(record: &[u8]) -> Option<&[u8]> {
    if record.len() <= GOOD_OLD_BYTES {
        return None;
    }
    let extra = usize::from(I_EXTRA_ISIZE.get(record));
    let region = record.get(GOOD_OLD_BYTES + extra..)?;
    // Without the size of the added fields nobody has laid this inode out for more than the first 128 bytes.
    (extra >= ALIGN && extra.is_multiple_of(ALIGN) && region.len() >= INODE_HEADER + TERMINATOR).then_some(region)
}

/// Appends the attributes whose entries begin at `first` of `region`.
fn parse<E>(place: Place, region: &[u8], first: usize, out: &mut Vec<Attribute>) -> Result<(), Error<E>> {
    let mut at = first;
    loop {
        let rest = region.get(at..).unwrap_or_default();
        if rest.len() < TERMINATOR {
            return Err(E_NAME_LEN.corrupt(place, 0, "the entries must end with four zeros").into());
        }
        if u32::load(rest) == 0 {
            return Ok(());
        }
        let name_len = usize::from(E_NAME_LEN.get(rest));
        if rest.len() < ENTRY_HEADER + name_len {
            return Err(E_NAME_LEN.corrupt(place, name_len as u8, "the entry must end before the region does").into());
        }
        let (offset, len) = (usize::from(E_VALUE_OFFS.get(rest)), E_VALUE_SIZE.get(rest));
        let inode = E_VALUE_INUM.get(rest);
        if inode != 0 {
            return Err(E_VALUE_INUM.corrupt(place, inode, "values must be beside their entries").into());
        }
        let value = match len {
            0 => Some(&[][..]),
            _ => region.get(offset..).and_then(|bytes| bytes.get(..len as usize)),
        };
        let value =
            value.ok_or_else(|| E_VALUE_SIZE.corrupt(place, len, "the value must end before the region does"))?;
        let name = &rest[ENTRY_HEADER..ENTRY_HEADER + name_len];
        out.try_reserve(1).map_err(|_| Error::NoMemory)?;
        out.push(Attribute { class: E_NAME_INDEX.get(rest), name: copy(name)?, value: copy(value)? });
        at += ENTRY_HEADER + name_len.next_multiple_of(ALIGN);
    }
}

/// Writes entries from `first` of `region` on, values from its end back. All is known to fit, and zero before.
fn lay_out(region: &mut [u8], first: usize, attributes: &[Attribute]) {
    let (mut at, mut end) = (first, region.len() - region.len() % ALIGN);
    for attribute in attributes {
        end -= attribute.value.len().next_multiple_of(ALIGN);
        region[end..end + attribute.value.len()].copy_from_slice(&attribute.value);
        let entry = &mut region[at..at + attribute.entry_len()];
        E_NAME_LEN.put(entry, attribute.name.len() as u8);
        E_NAME_INDEX.put(entry, attribute.class);
        E_VALUE_OFFS.put(entry, if attribute.value.is_empty() { 0 } else { end as u16 });
        E_VALUE_SIZE.put(entry, attribute.value.len() as u32);
        E_HASH.put(entry, attribute.hash());
        entry[ENTRY_HEADER..ENTRY_HEADER + attribute.name.len()].copy_from_slice(&attribute.name);
        at += attribute.entry_len();
    }
}

fn zeros<E>(len: usize) -> Result<Vec<u8>, Error<E>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Error::NoMemory)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

fn copy<E>(bytes: &[u8]) -> Result<Vec<u8>, Error<E>> {
    let mut copied = Vec::new();
    copied.try_reserve_exact(bytes.len()).map_err(|_| Error::NoMemory)?;
    copied.extend_from_slice(bytes);
    Ok(copied)
}
