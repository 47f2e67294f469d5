//! The motion tracks of one connection.

use super::{ReceivedMotion, session::Receiving};
use crate::{
    catalog::MotionTracks,
    wire::{
        assemble::MotionAssembler,
        tile::{Coarse, Tile, decode_coarse, decode_tile},
    },
};
use hang::catalog::PRIORITY;
use moq_net::{Error, broadcast, track};
use std::time::Instant;
use studio_frame::prelude::*;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep_until,
};

/// Parsed pieces of motion between the tracks' tasks and the assembler.
const PARTS: usize = 256;

enum Part {
    Tile(Tile),
    Coarse(Coarse),
}

/// Receives the motion tracks that the catalog names.
pub(super) async fn motions(broadcast: broadcast::Consumer, mut wanted: watch::Receiver<Option<MotionTracks>>, to: Receiving) {
    let names = |motion: &MotionTracks| (motion.tiles.clone(), motion.coarse.clone());
    loop {
        let Ok(Some(motion)) = wanted.wait_for(Option::is_some).await.map(|motion| motion.clone()) else { return };
        let current = names(&motion);
        let (parts_in, parts) = mpsc::channel(PARTS);
        let mut tracks = JoinSet::new();
        for name in motion.tiles {
            tracks.spawn(receive_tiles(broadcast.clone(), name, parts_in.clone(), to.clone()));
        }
        tracks.spawn(receive_coarse(broadcast.clone(), motion.coarse, parts_in, to.clone()));
        tokio::select! {
            () = assemble(parts, &to) => {}
            _ = wanted.wait_for(|motion| motion.as_ref().is_some_and(|motion| names(motion) != current)) => continue,
        }
        // The tracks ended; not again until the catalog names others.
        if wanted.wait_for(|motion| motion.as_ref().is_some_and(|motion| names(motion) != current)).await.is_err() {
            return;
        }
    }
}

async fn receive_tiles(
    broadcast: broadcast::Consumer,
    name: String,
    parts: mpsc::Sender<Part>,
    to: Receiving,
) -> Result<(), Error> {
    let wish = track::Subscription::default().with_priority(PRIORITY.video);
    let mut track = broadcast.track(&name)?.subscribe(wish).await?;
    while let Some(datagram) = track.recv_datagram().await? {
        to.outbox.meter.arrived(datagram.payload.len());
        match decode_tile(&datagram.payload) {
            Ok(tile) => {
                if parts.send(Part::Tile(tile)).await.is_err() {
                    break;
                }
            }
            Err(error) => to.garbage(error),
        }
    }
    Ok(())
}

async fn receive_coarse(
    broadcast: broadcast::Consumer,
    name: String,
    parts: mpsc::Sender<Part>,
    to: Receiving,
) -> Result<(), Error> {
    let wish = track::Subscription::default().with_priority(PRIORITY.video + 10);
    let mut groups = broadcast.track(&name)?.subscribe(wish).await?.ordered();
    while let Some(mut group) = groups.next_group().await? {
        // One that became too old while it was read is replaced by the next.
        let Ok(Some(frame)) = group.read_frame().await else { continue };
        to.outbox.meter.arrived(frame.payload.len());
        match decode_coarse(&frame.payload) {
            Ok(coarse) => {
                if parts.send(Part::Coarse(coarse)).await.is_err() {
                    break;
                }
            }
            Err(error) => to.garbage(error),
        }
    }
    Ok(())
}

/// Puts fields together until the tracks end.
async fn assemble(mut parts: mpsc::Receiver<Part>, to: &Receiving) {
    let mut assembler = MotionAssembler::new(to.config.motion_deadline);
    loop {
        let deadline = assembler.next_deadline();
        let due = async {
            match deadline {
                Some(at) => sleep_until(at.into()).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            part = parts.recv() => match part {
                Some(Part::Tile(tile)) => assembler.push_tile(tile, Instant::now()),
                Some(Part::Coarse(coarse)) => assembler.push_coarse(coarse, Instant::now()),
                None => return,
            },
            () = due => {}
        }
        while let Some(motion) = assembler.poll(Instant::now()) {
            to.outbox.meter.count(|stats| {
                stats.motion_fields += 1;
                stats.tiles += u64::from(motion.tiles);
                stats.lost_tiles += u64::from(motion.lost_tiles);
            });
            to.outbox.motion.send(ReceivedMotion { motion, session: to.session, arrived_at: UnixTime::now() });
        }
    }
}
