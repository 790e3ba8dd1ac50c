use std::sync::PoisonError;

use super::memory::{Memory, Purpose};
use super::transfer::Source;
use crate::error::Result;

/// A range of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub buffer: wgpu::Buffer,
    pub offset: u64,
    pub bytes: u64,
}

impl Region {
    /// A part of the region.
    pub fn part(&self, offset: u64, bytes: u64) -> Self {
        Self {
            buffer: self.buffer.clone(),
            offset: self.offset + offset,
            bytes,
        }
    }

    pub fn binding(&self) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: wgpu::BufferSize::new(self.bytes),
        }
    }
}

impl Memory {
    /// A new buffer of zeros, never recycled.
    pub fn region(&self, bytes: u64) -> Result<Region> {
        self.region_for(Purpose::Tensor, bytes)
    }

    /// A place of `bytes` bytes for what is written and read within one call. The GPU does one call's work
    /// after the other, so all of them share the largest.
    pub fn scratch(&self, bytes: u64) -> Result<Region> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = match &*scratch {
            Some(buffer) if buffer.size() >= bytes && self.device().reports.is_valid(buffer) => {
                buffer.clone()
            }
            _ => scratch.insert(self.create(Purpose::Tensor, bytes)?).clone(),
        };
        Ok(Region {
            buffer,
            offset: 0,
            bytes,
        })
    }

    /// A new buffer for `purpose`, never recycled.
    pub fn region_for(&self, purpose: Purpose, bytes: u64) -> Result<Region> {
        let bytes = bytes.max(1).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let buffer = self.create(purpose, bytes)?;
        Ok(Region {
            buffer,
            offset: 0,
            bytes,
        })
    }
}

impl<'a> Source<'a> {
    /// Private, as regions are the crate's own.
    pub fn of(region: &'a Region) -> Self {
        Self {
            buffer: &region.buffer,
            offset: region.offset,
            is_private: true,
        }
    }
}
