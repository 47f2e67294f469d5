//! The motion field as a texture.

use super::SynthesisError;
use bevy::math::UVec2;
use half::f16;
use studio_frame::motion::MotionField;

/// A motion field on the GPU: one `Rg16Float` texel a cell, in pixels.
#[derive(Clone, Debug)]
pub struct MotionGrid {
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    picture_size: UVec2,
    wraps: bool,
}

impl MotionGrid {
    /// Uploads a field, four bytes a cell.
    ///
    /// # Errors
    /// [`SynthesisError`] if the field's vectors do not fill its grid, or the grid is empty or too large.
    pub fn upload(device: &wgpu::Device, queue: &wgpu::Queue, field: &MotionField) -> Result<Self, SynthesisError> {
        check(device, field)?;
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("motion grid"),
            size: extent(field.grid),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rg16Float,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        write(queue, &texture, field);
        Ok(Self { texture, view, picture_size: field.picture_size, wraps: field.wraps })
    }

    /// Puts another field in this one's place, in the same texture where the grid is as large. What was submitted before
    /// still reads the old field.
    ///
    /// # Errors
    /// As for [`upload`](Self::upload); the old field then stays.
    pub fn replace(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, field: &MotionField) -> Result<(), SynthesisError> {
        if extent(field.grid) != self.texture.size() {
            *self = Self::upload(device, queue, field)?;
            return Ok(());
        }
        check(device, field)?;
        write(queue, &self.texture, field);
        (self.picture_size, self.wraps) = (field.picture_size, field.wraps);
        Ok(())
    }

    /// Size of the picture that the vectors are measured in, in pixels.
    pub fn picture_size(&self) -> UVec2 {
        self.picture_size
    }

    /// Whether the left and right edges of the picture meet.
    pub fn wraps(&self) -> bool {
        self.wraps
    }

    pub(super) fn view(&self) -> &wgpu::TextureView {
        &self.view
    }
}

fn extent(grid: UVec2) -> wgpu::Extent3d {
    wgpu::Extent3d { width: grid.x, height: grid.y, depth_or_array_layers: 1 }
}

fn check(device: &wgpu::Device, field: &MotionField) -> Result<(), SynthesisError> {
    let UVec2 { x: columns, y: rows } = field.grid;
    let cells = u64::from(columns) * u64::from(rows);
    if cells == 0 || cells > u64::from(MotionField::MAX_CELLS) || cells != field.vectors.len() as u64 {
        return Err(SynthesisError::Field { columns, rows, vectors: field.vectors.len() });
    }
    if field.picture_size.min_element() == 0 {
        return Err(SynthesisError::FieldPicture(field.picture_size.x, field.picture_size.y));
    }
    let (longest, limit) = (columns.max(rows), device.limits().max_texture_dimension_2d);
    if longest > limit {
        return Err(SynthesisError::FieldTooLong { longest, limit });
    }
    Ok(())
}

fn write(queue: &wgpu::Queue, texture: &wgpu::Texture, field: &MotionField) {
    let bytes: Vec<u8> = field
        .vectors
        .iter()
        .flat_map(|vector| {
            let motion = vector.to_pixels();
            let ([a, b], [c, d]) = (f16::from_f32(motion.x).to_le_bytes(), f16::from_f32(motion.y).to_le_bytes());
            [a, b, c, d]
        })
        .collect();
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * field.grid.x), rows_per_image: None };
    queue.write_texture(texture.as_image_copy(), &bytes, layout, extent(field.grid));
}
