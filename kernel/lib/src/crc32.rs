//! CRC-32 as Ethernet, zip and GPT have it (polynomial 0x04c11db7, reflected, begun and ended with all ones).

/// What half a byte does to the remainder.
const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let (mut value, mut bit) = (nibble as u32, 0);
        while bit < 4 {
            value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[nibble] = value;
        nibble += 1;
    }
    table
};

/// A checksum that is being computed.
#[derive(Clone, Copy, Debug)]
pub struct Crc32(u32);

impl Crc32 {
    /// Of nothing.
    pub const fn new() -> Crc32 {
        Crc32(!0)
    }

    /// Goes on with `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let mut value = self.0 ^ u32::from(byte);
            value = value >> 4 ^ TABLE[(value & 15) as usize];
            self.0 = value >> 4 ^ TABLE[(value & 15) as usize];
        }
    }

    /// The checksum of all that was added.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        let of = |parts: &[&[u8]]| {
            let mut crc = Crc32::new();
            parts.iter().for_each(|part| crc.add(part));
            crc.value()
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(of(&[b"1234", b"56789"]), 0xcbf4_3926);
        assert_eq!(of(&[&[0; 32]]), 0x190a_55ad);
    }
}
