//! The node graph: nodes, pins, links, the registry of node kinds and the compiled order. Nothing here renders.
//!
//! A node is an entity with one *kind* component whose reflected fields are its settings. Its pins are entities of their
//! own; a link is the [`FedBy`](pin::FedBy) relationship from an input pin to the output pin that feeds it.
//!
//! ```
//! use bevy::prelude::*;
//! use studio_graph::prelude::*;
//!
//! #[derive(Component, Reflect, Default, Clone)]
//! #[reflect(Component, Default, Node)]
//! struct Source;
//!
//! impl NodeKind for Source {
//!     const DISPLAY_NAME: &'static str = "Source";
//!     const CATEGORY: &'static str = "Input";
//!     fn pins(&self) -> Vec<PinSpec> {
//!         vec![PinSpec::output("frame", DataType::VIDEO_FRAME)]
//!     }
//! }
//!
//! let mut app = App::new();
//! app.add_plugins(GraphPlugin).register_node::<Source>();
//! let node = app.world_mut().spawn(Source).id();
//! assert!(app.world().get::<Pins>(node).is_some());
//! ```

pub mod blueprint;
pub mod bus;
pub mod clock;
pub mod compile;
pub mod data_type;
pub mod driver;
pub mod flow;
pub mod link;
pub mod pin;
pub mod reference;
pub mod registry;
pub mod schedule;
pub mod schema;
pub mod status;
pub mod value;
pub mod wake;

use bevy::prelude::*;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        GraphPlugin,
        blueprint::{Blueprint, BlueprintInstance},
        bus::{AudioBus, Bus, BusItem, BusStats, PacketBus, PinMotion, SinkGuard},
        clock::{StudioClock, StudioTime},
        compile::{CompiledGraph, CompiledNode},
        data_type::{AppDataTypeExt, Conversion, DataCategory, DataTypes},
        driver::{Driver, Drivers, Interpolation},
        flow::{Bypass, Freeze, JoinPolicy, Solo, TakesLatest, Watched},
        link::{ConnectError, GraphCommands, GraphLinks, connect},
        pin::{DataType, FedBy, Feeds, Pin, PinDirection, PinOf, PinSpec, Pins},
        registry::{AppNodeExt, InputPath, NodeKind, ReflectNode},
        schedule::StudioSystems,
        status::{FailureReport, NodeStatus, NodeWarning},
        value::{AppCpuNodeExt, CpuRun, ExposedSettings, PinValue, Value},
    };
}

/// Adds the graph: ordered stages, compilation on change, and the bookkeeping of failures.
pub struct GraphPlugin;

impl Plugin for GraphPlugin {
    fn build(&self, app: &mut App) {
        schedule::configure(app);
        app.init_resource::<clock::StudioClock>()
            .init_resource::<clock::StudioTime>()
            .init_resource::<compile::CompiledGraph>()
            .init_resource::<data_type::DataTypes>()
            .init_resource::<status::FailureReport>()
            .add_observer(bus::give_bus_to_pin)
            .add_plugins((blueprint::plugin, value::plugin))
            .add_systems(
                Update,
                (
                    compile::compile_graph.in_set(schedule::StudioSystems::Compile),
                    driver::drive_settings.run_if(any_with_component::<driver::Drivers>).in_set(schedule::StudioSystems::Collect),
                    status::apply_reports.run_if(status::are_there_reports).in_set(schedule::StudioSystems::Report),
                ),
            );
    }
}
