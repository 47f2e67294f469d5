//! What viewers said, for spreadsheets and scripts.

use crate::publish::{ViewerLog, ViewerStatus};
use core::fmt::Write as _;
use serde_json::{Value, json};
use studio_frame::prelude::*;

fn name(viewer: &ViewerStatus) -> (&'static str, &str) {
    let info = viewer.report.as_ref().and_then(|report| report.viewer.as_ref());
    info.map_or(("unknown", ""), |info| (info.kind.name(), info.name.as_str()))
}

fn seconds(at: UnixTime) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// All of it as JSON: `viewers` (one object each, `last` being the newest report), `records` (each report with its time and
/// viewer), and `gaze`: the heat map since the stream began, samples a steradian, rows from the top.
pub fn to_json(log: &ViewerLog) -> Value {
    let viewers: Vec<Value> = log
        .viewers
        .iter()
        .map(|viewer| {
            let (kind, name) = name(viewer);
            json!({
                "connection": viewer.connection,
                "id": viewer.id.map(|id| id.to_string()),
                "kind": kind,
                "name": name,
                "address": viewer.address.to_string(),
                "joinedAt": seconds(viewer.joined_at),
                "leftAt": viewer.left_at.map(seconds),
                "reports": viewer.reports,
                "garbage": viewer.garbage,
                "dropped": viewer.dropped,
                "roundTripMs": viewer.path.round_trip.as_secs_f64() * 1000.0,
                "packetsSent": viewer.path.packets_sent,
                "packetsLost": viewer.path.packets_lost,
                "bytesSent": viewer.path.bytes_sent,
                "last": viewer.report.as_deref(),
            })
        })
        .collect();
    let records: Vec<Value> = log
        .records
        .iter()
        .map(|record| json!({ "at": seconds(record.at), "connection": record.connection, "report": &*record.report }))
        .collect();
    let (columns, rows) = log.gaze.size();
    json!({
        "viewers": viewers,
        "records": records,
        "recordsDropped": log.records_dropped,
        "gaze": { "columns": columns, "rows": rows, "samples": log.gaze.samples(), "density": log.gaze.density() },
    })
}

/// One line a report, with a header: comma-separated values (RFC 4180).
pub fn to_csv(log: &ViewerLog) -> String {
    let mut csv = String::from(
        "unix_s,connection,kind,name,latency_p50_ms,latency_p95_ms,clock_offset_ms,round_trip_ms,display_hz,decoded_hz,\
         generated_hz,decode_ms,target_delay_ms,received_bps,wanted_bps,pictures,pictures_lost,groups_skipped,tiles,tiles_lost,\
         key_frame_requests,yaw_deg,pitch_deg\r\n",
    );
    for record in &log.records {
        let report = &record.report;
        let (kind, name) = report.viewer.as_ref().map_or(("unknown", ""), |viewer| (viewer.kind.name(), viewer.name.as_str()));
        // A name is a stranger's: quoted, and no formula for a spreadsheet.
        let name = name.replace('"', "\"\"");
        let name = name.trim_start_matches(['=', '+', '-', '@']);
        let _ = write!(csv, "{:.3},{},{kind},\"{name}\"", seconds(record.at), record.connection);
        let looked = report.gaze.last();
        let numbers = [
            report.latency_ms.map(|latency| latency.p50),
            report.latency_ms.map(|latency| latency.p95),
            report.clock_offset_ms,
            report.round_trip_ms,
            report.display_hz,
            report.decoded_hz,
            report.generated_hz,
            report.decode_ms,
            report.target_delay_ms,
            report.received_bps,
            report.wanted_bps,
            report.pictures.map(|count| count as f64),
            report.pictures_lost.map(|count| count as f64),
            report.groups_skipped.map(|count| count as f64),
            report.tiles.map(|count| count as f64),
            report.tiles_lost.map(|count| count as f64),
            report.key_frame_requests.map(|count| count as f64),
            looked.map(|look| look.yaw_deg),
            looked.map(|look| look.pitch_deg),
        ];
        for number in numbers {
            match number {
                Some(number) => drop(write!(csv, ",{}", (number * 1000.0).round() / 1000.0)),
                None => csv.push(','),
            }
        }
        csv.push_str("\r\n");
    }
    csv
}
