//! Pictures in and out: files to the GPU, textures and buffers back.

use crate::{AnyResult, Bench};
use bevy::math::{UVec2, Vec2};
use half::f16;
use std::{fs, path::Path, process::Command};
use studio_frame::{color::ColorInfo, format::PixelFormat, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::picture::GpuPicture;

impl Bench {
    /// Reads a picture file into textures.
    pub fn read_picture(&self, path: &Path) -> AnyResult<GpuPicture> {
        let picture = image::open(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?.to_rgba8();
        self.upload_rgba(picture)
    }

    /// Puts a picture into a texture of its own.
    pub fn upload_rgba(&self, picture: image::RgbaImage) -> AnyResult<GpuPicture> {
        let size = UVec2::new(picture.width(), picture.height());
        let data = picture.into_raw().into();
        self.upload(&VideoFrame::from_packed(FrameStamp::default(), PixelFormat::Rgba8, size, ColorInfo::default(), data)?)
    }

    /// Puts a frame into textures of its own.
    pub fn upload(&self, frame: &VideoFrame) -> AnyResult<GpuPicture> {
        let picture = GpuPicture::for_upload(&self.gpu.device, frame)?;
        picture.upload(&self.gpu.queue, frame);
        Ok(picture)
    }

    /// The bytes of a buffer that can be copied from.
    pub fn read_buffer(&self, buffer: &wgpu::Buffer) -> AnyResult<Vec<u8>> {
        use wgpu::BufferUsages as U;
        let (size, usage) = (buffer.size(), U::COPY_DST | U::MAP_READ);
        let read = self.gpu.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &read, 0, size);
        self.submit(encoder)?;
        read.slice(..).map_async(wgpu::MapMode::Read, |_| ());
        self.gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(read.slice(..).get_mapped_range().to_vec())
    }

    /// The first two channels of an `Rgba16Float` texture.
    pub fn read_vectors(&self, texture: &wgpu::Texture) -> AnyResult<Vec<Vec2>> {
        let stride = (texture.width() * 8).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(stride * texture.height()),
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
        encoder.copy_texture_to_buffer(
            texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
            texture.size(),
        );
        self.submit(encoder)?;
        let bytes = self.read_buffer(&buffer)?;
        let rows = bytes.chunks(stride as usize).flat_map(|row| row[..texture.width() as usize * 8].as_chunks::<8>().0);
        let number = |low, high| f16::from_le_bytes([low, high]).to_f32();
        Ok(rows.map(|texel| Vec2::new(number(texel[0], texel[1]), number(texel[2], texel[3]))).collect())
    }
}

/// The two pictures of a Middlebury pair, in time's reverse, stretched to a size.
pub fn stretched(bench: &Bench, folder: &Path, size: UVec2) -> AnyResult<[GpuPicture; 2]> {
    let read = |name: &str| -> AnyResult<GpuPicture> {
        let picture = image::open(folder.join(name))?.resize_exact(size.x, size.y, image::imageops::FilterType::CatmullRom);
        bench.upload_rgba(picture.to_rgba8())
    };
    Ok([read("frame11.png")?, read("frame10.png")?])
}

/// Reads a `.flo` file: the number 202021.25, width, height, then x and y of each pixel, all little-endian (Baker et al., *A Database and
/// Evaluation Methodology for Optical Flow*, IJCV 2011). Unknown motions are huge.
pub fn read_flo(path: &Path) -> AnyResult<(UVec2, Vec<Vec2>)> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let [magic, width, height, numbers @ ..] = words.as_slice() else {
        return Err(format!("`{}` is too short for a .flo file", path.display()).into());
    };
    let size = UVec2::new(*width, *height);
    if f32::from_bits(*magic) != 202_021.25 || numbers.len() as u64 != 2 * u64::from(*width) * u64::from(*height) {
        return Err(format!("`{}` is not a .flo file", path.display()).into());
    }
    Ok((size, numbers.as_chunks::<2>().0.iter().map(|pair| Vec2::from_array(pair.map(f32::from_bits))).collect()))
}

/// Decodes the first frames of a clip with ffmpeg, through a filter, as I420.
pub fn decode(clip: &Path, size: UVec2, frames: usize, filter: &str) -> AnyResult<Vec<VideoFrame>> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(clip)
        .args(["-vf", filter, "-vsync", "0", "-frames:v", &frames.to_string(), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .map_err(|error| format!("ffmpeg did not start ({error}): install it"))?;
    if !output.status.success() {
        return Err(format!("ffmpeg: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let whole = output.stdout.chunks_exact(PixelFormat::I420.picture_bytes(size));
    let frame = |data: &[u8]| {
        VideoFrame::from_packed(FrameStamp::default(), PixelFormat::I420, size, ColorInfo::BT709, data.to_vec().into())
    };
    Ok(whole.map(frame).collect::<Result<_, _>>()?)
}
