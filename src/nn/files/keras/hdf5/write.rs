//! Files of groups and arrays, as h5py writes them.

use std::collections::BTreeMap;

use super::read::SIGNATURE;

const UNDEFINED: u64 = u64::MAX;

/// An entry of a group: its name, its header, and what a cache would have of it.
const ENTRY: usize = 40;

/// Entries in a leaf of a group's tree.
const LEAF: usize = 8;

const SUPERBLOCK: usize = 96;

/// What is to be written, which nothing is copied of before.
#[derive(Default)]
pub(in super::super) struct Writer<'a> {
    root: Folder<'a>,
}

#[derive(Default)]
struct Folder<'a> {
    folders: BTreeMap<String, Folder<'a>>,
    arrays: BTreeMap<String, Stored<'a>>,
}

struct Stored<'a> {
    shape: Vec<usize>,
    is_integer: bool,
    bytes: &'a [u8],
}

impl<'a> Writer<'a> {
    /// Adds f32s at a path.
    pub fn f32s(&mut self, path: &str, shape: &[usize], values: &'a [f32]) {
        self.add(path, shape, false, bytemuck::cast_slice(values));
    }

    /// Adds whole numbers at a path.
    pub fn integers(&mut self, path: &str, shape: &[usize], values: &'a [i32]) {
        self.add(path, shape, true, bytemuck::cast_slice(values));
    }

    fn add(&mut self, path: &str, shape: &[usize], is_integer: bool, bytes: &'a [u8]) {
        let (groups, name) = path.rsplit_once('/').unwrap_or(("", path));
        let array = Stored {
            shape: shape.into(),
            is_integer,
            bytes,
        };
        self.folder(groups).arrays.insert(name.into(), array);
    }

    /// The group at a path, which is there then.
    fn folder(&mut self, path: &str) -> &mut Folder<'a> {
        let mut folder = &mut self.root;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            folder = folder.folders.entry(part.into()).or_default();
        }
        folder
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        // As many leaves below a node as the largest group needs, so that each tree is one node.
        let branches = self.root.largest().div_ceil(LEAF).div_ceil(2).max(1);
        let mut file = vec![0; SUPERBLOCK];
        let root = self.root.write(branches, &mut file);
        let mut superblock = Vec::with_capacity(SUPERBLOCK);
        superblock.extend_from_slice(SIGNATURE);
        superblock.extend_from_slice(&[0, 0, 0, 0, 0, 8, 8, 0]);
        put(&mut superblock, 2, LEAF as u64 / 2);
        put(&mut superblock, 2, branches as u64);
        put(&mut superblock, 4, 0);
        for address in [0, UNDEFINED, file.len() as u64, UNDEFINED] {
            put(&mut superblock, 8, address);
        }
        put_entry(&mut superblock, 0, &root);
        file[..SUPERBLOCK].copy_from_slice(&superblock);
        file
    }
}

/// A header that has been written, and of a group its tree and its names.
struct Written {
    header: u64,
    group: Option<[u64; 2]>,
}

impl Folder<'_> {
    /// The entries of the largest group.
    fn largest(&self) -> usize {
        let below = self.folders.values().map(Self::largest).max();
        let own = self.folders.len() + self.arrays.len();
        own.max(below.unwrap_or_default())
    }

    fn write(self, branches: usize, file: &mut Vec<u8>) -> Written {
        let mut entries = BTreeMap::new();
        for (name, array) in self.arrays {
            entries.insert(name, array.write(file));
        }
        for (name, folder) in self.folders {
            entries.insert(name, folder.write(branches, file));
        }
        // Names come one behind the other, each from a multiple of 8 on, behind an empty one.
        let mut names = vec![0; 8];
        let mut places = Vec::new();
        for name in entries.keys() {
            places.push(names.len() as u64);
            names.extend_from_slice(name.as_bytes());
            names.resize((names.len() + 1).next_multiple_of(8), 0);
        }
        let heap = file.len() as u64;
        file.extend_from_slice(b"HEAP\0\0\0\0");
        put(file, 8, names.len() as u64);
        // Nothing in it is free.
        put(file, 8, 1);
        put(file, 8, heap + 32);
        file.extend_from_slice(&names);

        let entries: Vec<_> = places.iter().zip(entries.values()).collect();
        let leaves: Vec<_> = entries.chunks(LEAF).collect();
        let mut addresses = Vec::new();
        for leaf in &leaves {
            addresses.push(file.len() as u64);
            file.extend_from_slice(b"SNOD\x01\0");
            put(file, 2, leaf.len() as u64);
            for &(&name, written) in *leaf {
                put_entry(file, name, written);
            }
            file.resize(file.len() + (LEAF - leaf.len()) * ENTRY, 0);
        }
        let tree = file.len() as u64;
        file.extend_from_slice(b"TREE\0\0");
        put(file, 2, leaves.len() as u64);
        put(file, 8, UNDEFINED);
        put(file, 8, UNDEFINED);
        // Between the leaves stand the last names before.
        put(file, 8, 0);
        for (&address, leaf) in addresses.iter().zip(&leaves) {
            put(file, 8, address);
            put(file, 8, leaf.last().map_or(0, |&(&name, _)| name));
        }
        file.resize(file.len() + (2 * branches - leaves.len()) * 16, 0);

        let mut symbols = Vec::new();
        put(&mut symbols, 8, tree);
        put(&mut symbols, 8, heap);
        Written {
            header: header(file, &[(0x11, symbols)]),
            group: Some([tree, heap]),
        }
    }
}

impl Stored<'_> {
    fn write(self, file: &mut Vec<u8>) -> Written {
        let mut dataspace = vec![1, self.shape.len() as u8, 0, 0, 0, 0, 0, 0];
        for &extent in &self.shape {
            put(&mut dataspace, 8, extent as u64);
        }
        // Both are little-endian, and of 4 bytes; integers have a sign.
        let datatype = match self.is_integer {
            true => vec![0x10, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0],
            false => vec![
                0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0,
            ],
        };
        let data = file.len() as u64;
        let len = self.bytes.len() as u64;
        file.extend_from_slice(self.bytes);
        file.resize(file.len().next_multiple_of(8), 0);
        let mut layout = vec![3, 1];
        put(&mut layout, 8, if len == 0 { UNDEFINED } else { data });
        put(&mut layout, 8, len);
        // What there is before values are written: allocated at once, never filled.
        let fill = vec![2, 1, 1, 0];
        let messages = [
            (0x01, dataspace),
            (0x03, datatype),
            (0x05, fill),
            (0x08, layout),
        ];
        Written {
            header: header(file, &messages),
            group: None,
        }
    }
}

/// Writes an object's header, and gives its address.
fn header(file: &mut Vec<u8>, messages: &[(u64, Vec<u8>)]) -> u64 {
    let address = file.len() as u64;
    let padded = |body: &Vec<u8>| body.len().next_multiple_of(8);
    let size: usize = messages.iter().map(|(_, body)| 8 + padded(body)).sum();
    put(file, 2, 1);
    put(file, 2, messages.len() as u64);
    put(file, 4, 1);
    put(file, 8, size as u64);
    for (kind, body) in messages {
        put(file, 2, *kind);
        put(file, 2, padded(body) as u64);
        put(file, 4, 0);
        file.extend_from_slice(body);
        file.resize(file.len().next_multiple_of(8), 0);
    }
    address
}

fn put_entry(file: &mut Vec<u8>, name: u64, written: &Written) {
    put(file, 8, name);
    put(file, 8, written.header);
    put(file, 8, u64::from(written.group.is_some()));
    for address in written.group.unwrap_or_default() {
        put(file, 8, address);
    }
}

/// Writes a number of this many bytes.
fn put(file: &mut Vec<u8>, bytes: usize, number: u64) {
    file.extend_from_slice(&number.to_le_bytes()[..bytes]);
}
