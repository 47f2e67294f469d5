//! The quality preset: how large and how fine the pictures are, chosen from the machine.

use bevy::math::UVec2;
use serde::Serialize;
use studio_vision::flow::FlowQuality;

/// How large and how fine the pictures are. The graph is the same everywhere; only this differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// The preset's name.
    pub name: &'static str,
    /// Size of the stitched picture in pixels.
    pub picture_size: UVec2,
    /// Size of the viewer's picture in pixels.
    pub view_size: UVec2,
    /// How thoroughly motion is looked for.
    #[serde(skip)]
    pub flow: FlowQuality,
    /// Frames a second; `None` keeps the source's own.
    pub frame_rate_hz: Option<f32>,
    /// Bit rate of the stream.
    pub bitrate_bps: u32,
}

/// What the preset is chosen from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What kind of GPU there is.
    pub device_type: wgpu::DeviceType,
    /// Largest side of a texture in pixels.
    pub max_side_px: u32,
    /// Whether video is encoded in hardware.
    pub hardware_encoder: bool,
}

impl Quality {
    /// Chooses the preset: software Vulkan gets 1280×640, a GPU up to 8K, no more than twice what the source holds and no
    /// more than 4K where the processor has to encode.
    pub fn choose(machine: &Machine, source_size: UVec2) -> Self {
        let preset = |name, width: u32, view_width: u32, flow, bitrate_bps| Self {
            name,
            picture_size: UVec2::new(width, width / 2),
            view_size: UVec2::new(view_width, view_width * 9 / 16),
            flow,
            frame_rate_hz: None,
            bitrate_bps,
        };
        // A rate that two cores keep up with, so that no frame has to be dropped.
        let software = Self { frame_rate_hz: Some(15.0), ..preset("software", 1280, 640, FlowQuality::Fast, 6_000_000) };
        let widest =
            machine.max_side_px.min(source_size.x.saturating_mul(2)).min(if machine.hardware_encoder { 7680 } else { 3840 });
        let ladder = [
            preset("8K", 7680, 1920, FlowQuality::High, 80_000_000),
            preset("6K", 5760, 1920, FlowQuality::High, 50_000_000),
            preset("4K", 3840, 1920, FlowQuality::Balanced, 25_000_000),
            preset("2.5K", 2560, 1280, FlowQuality::Balanced, 14_000_000),
        ];
        let allowed = match machine.device_type {
            wgpu::DeviceType::Cpu | wgpu::DeviceType::Other => 0,
            wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu => widest.min(3840),
            wgpu::DeviceType::DiscreteGpu => widest,
        };
        ladder.into_iter().find(|preset| preset.picture_size.x <= allowed).unwrap_or(software)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preset_follows_the_machine_and_the_source() {
        let machine = |device_type, hardware_encoder| Machine { device_type, max_side_px: 16_384, hardware_encoder };
        let width = |machine: &Machine, source: u32| Quality::choose(machine, UVec2::new(source, source / 2)).picture_size.x;
        assert_eq!(width(&machine(wgpu::DeviceType::Cpu, false), 5760), 1280);
        assert_eq!(width(&machine(wgpu::DeviceType::DiscreteGpu, true), 5760), 7680);
        assert_eq!(width(&machine(wgpu::DeviceType::DiscreteGpu, false), 5760), 3840);
        assert_eq!(width(&machine(wgpu::DeviceType::DiscreteGpu, true), 1920), 3840);
        assert_eq!(width(&machine(wgpu::DeviceType::IntegratedGpu, true), 5760), 3840);
        assert_eq!(width(&machine(wgpu::DeviceType::DiscreteGpu, true), 640), 1280);
    }
}
