//! `neural-studio edit`: the graph editor.

use crate::Failure;
use bevy::{app::AppExit, prelude::*};
use clap::Args;
use neural_studio::{
    AppWindow,
    app::{app_in, has_display},
    studio_editor::{StudioEditorPlugin, session::SessionFolder},
};
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
pub struct EditArgs {
    /// The blueprint to open: a .blueprint.ron file, or a USD scene that has one in it; one that is not there yet is new
    file: Option<PathBuf>,
    /// Width and height of the window in pixels
    #[arg(long, default_value = "1600x900", value_parser = size)]
    size: UVec2,
    /// Folder of preferences and of copies of unsaved work, instead of the user's own
    #[arg(long, value_name = "FOLDER")]
    session: Option<PathBuf>,
}

fn size(text: &str) -> Result<UVec2, String> {
    let wanted = || format!("“{text}” is no size: write WIDTHxHEIGHT, such as 1600x900");
    let (width, height) = text.split_once('x').ok_or_else(wanted)?;
    let size = UVec2::new(width.parse().map_err(|_| wanted())?, height.parse().map_err(|_| wanted())?);
    if size.min_element() < 320 || size.max_element() > 16_384 {
        return Err(format!("{size} is no size for a window: each side may have 320 to 16384 pixels"));
    }
    Ok(size)
}

pub fn run(args: EditArgs) -> Result<(), Failure> {
    if !has_display() {
        return Err(
            "the editor needs a window, and there is no display: set DISPLAY, or run the blueprint with `neural-studio run`"
                .into(),
        );
    }
    let folder = args.file.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let title = args.file.as_deref().and_then(Path::file_name).map_or_else(String::new, |name| format!("{} - ", name.display()));
    let window = AppWindow::Kept { title: format!("{title}Neural Studio"), size: args.size };
    let mut app = app_in(window, folder.unwrap_or(Path::new(".")))?;
    let session = args.session.map_or_else(SessionFolder::default, |folder| SessionFolder(Some(folder)));
    match app.add_plugins(StudioEditorPlugin { file: args.file, session, ..default() }).run() {
        AppExit::Success => Ok(()),
        AppExit::Error(_) => Err("the editor ended with an error".into()),
    }
}
