//! Everything that the editor can be told to do, with its name and its keys.

use bevy_egui::egui::{self, Key, KeyboardShortcut, Modifiers};

/// Something that the editor can be told to do: from a menu, with a key, from the list of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names in the table below say what they do")]
pub enum Command {
    New,
    Open,
    OpenRecent,
    Save,
    SaveAs,
    Quit,
    Undo,
    Redo,
    Cut,
    Copy,
    Paste,
    Duplicate,
    Delete,
    Dissolve,
    Rename,
    Settings,
    SelectAll,
    SelectNone,
    SelectUpstream,
    SelectDownstream,
    SelectLeft,
    SelectRight,
    SelectUp,
    SelectDown,
    NudgeLeft,
    NudgeRight,
    NudgeUp,
    NudgeDown,
    AddNode,
    Link,
    AddFrame,
    Group,
    Ungroup,
    Enter,
    Leave,
    Bypass,
    Freeze,
    Solo,
    View,
    AlignLeft,
    AlignRight,
    AlignTop,
    AlignBottom,
    AlignRow,
    AlignColumn,
    DistributeHorizontally,
    DistributeVertically,
    Arrange,
    Find,
    Commands,
    NextProblem,
    ShowAll,
    ShowSelection,
    ZoomIn,
    ZoomOut,
    ActualSize,
    SetBookmark,
    GoToBookmark,
    Minimap,
    Thumbnails,
    Snap,
    Light,
    ScaleUp,
    ScaleDown,
    PanelBlueprint,
    PanelLive,
    PanelManagers,
    PanelInspector,
    PanelProblems,
    PanelHistory,
    RestorePanels,
    Take,
    Fade,
    Record,
    Stream,
    Shortcuts,
    Tour,
}

use Command as C;

const NONE: Modifiers = Modifiers::NONE;
const COMMAND: Modifiers = Modifiers::COMMAND;
const SHIFT: Modifiers = Modifiers::SHIFT;
const ALT: Modifiers = Modifiers::ALT;
const BOTH: Modifiers = Modifiers { alt: false, ctrl: false, shift: true, mac_cmd: false, command: true };

/// Command, group, name, keys.
type Row = (Command, &'static str, &'static str, &'static [(Modifiers, Key)]);

const TABLE: &[Row] = &[
    (C::New, "File", "New", &[(COMMAND, Key::N)]),
    (C::Open, "File", "Open…", &[(COMMAND, Key::O)]),
    (C::OpenRecent, "File", "Open a recent file…", &[(BOTH, Key::O)]),
    (C::Save, "File", "Save", &[(COMMAND, Key::S)]),
    (C::SaveAs, "File", "Save as…", &[(BOTH, Key::S)]),
    (C::Quit, "File", "Quit", &[(COMMAND, Key::Q)]),
    (C::Undo, "Edit", "Undo", &[(COMMAND, Key::Z)]),
    (C::Redo, "Edit", "Redo", &[(BOTH, Key::Z), (COMMAND, Key::Y)]),
    (C::Cut, "Edit", "Cut", &[(COMMAND, Key::X)]),
    (C::Copy, "Edit", "Copy", &[(COMMAND, Key::C)]),
    (C::Paste, "Edit", "Paste", &[(COMMAND, Key::V)]),
    (C::Duplicate, "Edit", "Duplicate", &[(COMMAND, Key::D)]),
    (C::Delete, "Edit", "Delete", &[(NONE, Key::Delete), (NONE, Key::Backspace)]),
    (C::Dissolve, "Edit", "Delete and bridge", &[(SHIFT, Key::Delete)]),
    (C::Rename, "Edit", "Rename", &[(NONE, Key::F2)]),
    (C::Settings, "Edit", "Edit the settings", &[(NONE, Key::Enter)]),
    (C::SelectAll, "Select", "Select all", &[(COMMAND, Key::A)]),
    (C::SelectNone, "Select", "Select nothing", &[(NONE, Key::Escape)]),
    (C::SelectUpstream, "Select", "Add what feeds it", &[(NONE, Key::OpenBracket)]),
    (C::SelectDownstream, "Select", "Add what it feeds", &[(NONE, Key::CloseBracket)]),
    (C::SelectLeft, "Select", "Next node to the left", &[(NONE, Key::ArrowLeft)]),
    (C::SelectRight, "Select", "Next node to the right", &[(NONE, Key::ArrowRight)]),
    (C::SelectUp, "Select", "Next node above", &[(NONE, Key::ArrowUp)]),
    (C::SelectDown, "Select", "Next node below", &[(NONE, Key::ArrowDown)]),
    (C::NudgeLeft, "Arrange", "Move to the left", &[(COMMAND, Key::ArrowLeft)]),
    (C::NudgeRight, "Arrange", "Move to the right", &[(COMMAND, Key::ArrowRight)]),
    (C::NudgeUp, "Arrange", "Move up", &[(COMMAND, Key::ArrowUp)]),
    (C::NudgeDown, "Arrange", "Move down", &[(COMMAND, Key::ArrowDown)]),
    (C::AddNode, "Graph", "Add a node…", &[(NONE, Key::Tab), (SHIFT, Key::A)]),
    (C::Link, "Graph", "Link…", &[(NONE, Key::L)]),
    (C::AddFrame, "Graph", "Frame around the selection", &[(NONE, Key::C)]),
    (C::Group, "Graph", "Group into a subgraph", &[(COMMAND, Key::G)]),
    (C::Ungroup, "Graph", "Take a subgraph apart", &[(BOTH, Key::G)]),
    (C::Enter, "Graph", "Enter the subgraph", &[(NONE, Key::PageDown)]),
    (C::Leave, "Graph", "Leave the subgraph", &[(NONE, Key::PageUp)]),
    (C::Bypass, "Graph", "Bypass", &[(NONE, Key::B)]),
    (C::Freeze, "Graph", "Hold the output", &[(NONE, Key::H)]),
    (C::Solo, "Graph", "Solo", &[(NONE, Key::S)]),
    (C::View, "Graph", "View the output", &[(NONE, Key::V)]),
    (C::AlignLeft, "Arrange", "Align left edges", &[(SHIFT, Key::ArrowLeft)]),
    (C::AlignRight, "Arrange", "Align right edges", &[(SHIFT, Key::ArrowRight)]),
    (C::AlignTop, "Arrange", "Align upper edges", &[(SHIFT, Key::ArrowUp)]),
    (C::AlignBottom, "Arrange", "Align lower edges", &[(SHIFT, Key::ArrowDown)]),
    (C::AlignRow, "Arrange", "Align in a row", &[(ALT, Key::R)]),
    (C::AlignColumn, "Arrange", "Align in a column", &[(ALT, Key::C)]),
    (C::DistributeHorizontally, "Arrange", "Equal gaps side by side", &[(ALT, Key::H)]),
    (C::DistributeVertically, "Arrange", "Equal gaps one above the other", &[(ALT, Key::V)]),
    (C::Arrange, "Arrange", "Lay out by itself", &[(COMMAND, Key::L)]),
    (C::Find, "Find", "Find a node…", &[(COMMAND, Key::F)]),
    (C::Commands, "Find", "All commands…", &[(COMMAND, Key::P)]),
    (C::NextProblem, "Find", "Next problem", &[(NONE, Key::F8)]),
    (C::ShowAll, "View", "Show everything", &[(NONE, Key::Home)]),
    (C::ShowSelection, "View", "Show the selection", &[(NONE, Key::F)]),
    (C::ZoomIn, "View", "Zoom in", &[(NONE, Key::Plus), (NONE, Key::Equals)]),
    (C::ZoomOut, "View", "Zoom out", &[(NONE, Key::Minus)]),
    (C::ActualSize, "View", "Own size", &[(NONE, Key::Num0)]),
    (C::SetBookmark, "View", "Set a bookmark", &[(COMMAND, Key::B)]),
    (C::GoToBookmark, "View", "Go to a bookmark…", &[(COMMAND, Key::J)]),
    (C::Minimap, "View", "Overview", &[(NONE, Key::M)]),
    (C::Thumbnails, "View", "Pictures in nodes", &[(NONE, Key::T)]),
    (C::Snap, "View", "Keep to the grid", &[(NONE, Key::G)]),
    (C::Light, "View", "Light theme", &[(ALT, Key::T)]),
    (C::ScaleUp, "View", "Larger interface", &[(COMMAND, Key::Plus), (COMMAND, Key::Equals)]),
    (C::ScaleDown, "View", "Smaller interface", &[(COMMAND, Key::Minus)]),
    (C::PanelBlueprint, "Panels", "Blueprint", &[(ALT, Key::Num1)]),
    (C::PanelLive, "Panels", "Live view", &[(ALT, Key::Num2)]),
    (C::PanelManagers, "Panels", "Managers", &[(ALT, Key::Num3)]),
    (C::PanelInspector, "Panels", "Inspector", &[(ALT, Key::Num4)]),
    (C::PanelProblems, "Panels", "Problems", &[(ALT, Key::Num5)]),
    (C::PanelHistory, "Panels", "History", &[(ALT, Key::Num6)]),
    (C::RestorePanels, "Panels", "Put panels back", &[(ALT, Key::Num0)]),
    (C::Take, "Live", "Cut to the preview", &[(COMMAND, Key::Enter)]),
    (C::Fade, "Live", "Fade to the preview", &[(BOTH, Key::Enter)]),
    (C::Record, "Live", "Record", &[(NONE, Key::F9)]),
    (C::Stream, "Live", "Stream", &[(NONE, Key::F10)]),
    (C::Shortcuts, "Help", "Keys", &[(NONE, Key::F1)]),
    (C::Tour, "Help", "Tour", &[(SHIFT, Key::F1)]),
];

impl Command {
    /// Every command, in the order of the sheet of keys.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// What brings nodes into line.
    pub const ALIGNMENTS: [Self; 8] = [
        C::AlignLeft,
        C::AlignRight,
        C::AlignTop,
        C::AlignBottom,
        C::AlignRow,
        C::AlignColumn,
        C::DistributeHorizontally,
        C::DistributeVertically,
    ];

    fn row(self) -> &'static Row {
        // The test below holds the table to every command.
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[0])
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Where menus and the sheet of keys list it.
    pub fn group(self) -> &'static str {
        self.row().1
    }

    /// Its keys, each of which does.
    pub fn keys(self) -> impl Iterator<Item = KeyboardShortcut> {
        self.row().3.iter().map(|(modifiers, key)| KeyboardShortcut::new(*modifiers, *key))
    }

    /// Its first key, as people write it.
    pub fn keys_text(self) -> String {
        self.keys().next().map(|keys| text_of(&keys)).unwrap_or_default()
    }

    /// Whether its keys are letters that people also type: they do nothing while a text is edited.
    fn is_plain(keys: &KeyboardShortcut) -> bool {
        !keys.modifiers.command && !is_function_key(keys.logical_key)
    }

    /// The commands whose keys were pressed.
    pub(crate) fn pressed(ctx: &egui::Context) -> Vec<Self> {
        let typing = ctx.text_edit_focused();
        // Of two commands on one key, the one with more modifiers goes first.
        let mut rows: Vec<(usize, KeyboardShortcut, Self)> =
            Self::all().flat_map(|command| command.keys().map(move |keys| (weight(keys.modifiers), keys, command))).collect();
        rows.sort_by_key(|(weight, ..)| core::cmp::Reverse(*weight));
        let edits_text = |command: Self| matches!(command, C::Undo | C::Redo | C::Cut | C::Copy | C::Paste | C::SelectAll);
        ctx.input_mut(|input| {
            // Clipboards come as events of their own.
            let mut pressed = Vec::new();
            if !typing {
                for event in &input.events {
                    match event {
                        egui::Event::Copy => pressed.push(C::Copy),
                        egui::Event::Cut => pressed.push(C::Cut),
                        egui::Event::Paste(_) => pressed.push(C::Paste),
                        _ => {}
                    }
                }
            }
            for (_, keys, command) in rows {
                let is_for_text = typing && (Self::is_plain(&keys) || edits_text(command));
                let comes_as_event = matches!(command, C::Copy | C::Cut | C::Paste);
                if !is_for_text && !comes_as_event && input.consume_shortcut(&keys) {
                    pressed.push(command);
                }
            }
            pressed
        })
    }
}

/// Keys as people write them.
pub(crate) fn text_of(keys: &KeyboardShortcut) -> String {
    let names = egui::ModifierNames::NAMES.format(&keys.modifiers, cfg!(target_os = "macos"));
    let key = match keys.logical_key {
        Key::ArrowLeft => "←",
        Key::ArrowRight => "→",
        Key::ArrowUp => "↑",
        Key::ArrowDown => "↓",
        other => other.symbol_or_name(),
    };
    if names.is_empty() { key.to_owned() } else { format!("{names}+{key}") }
}

fn weight(modifiers: Modifiers) -> usize {
    usize::from(modifiers.command) + usize::from(modifiers.shift) + usize::from(modifiers.alt)
}

fn is_function_key(key: Key) -> bool {
    matches!(key, Key::F1 | Key::F2 | Key::F8 | Key::F9 | Key::F10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_command_is_in_the_table_once_and_no_key_does_two_things() {
        let mut commands = HashSet::new();
        let mut keys = HashSet::new();
        for (command, group, name, of) in TABLE {
            assert!(commands.insert(command), "{name} is there twice");
            assert!(!group.is_empty() && !name.is_empty());
            assert!(!of.is_empty(), "{name} cannot be had from the keyboard");
            for key in *of {
                assert!(keys.insert(format!("{key:?}")), "{name} shares {key:?}");
            }
        }
        // The last of the list; a command that is missing in the table would be named after the first row.
        assert_eq!(Command::Tour.name(), "Tour");
        assert_eq!(commands.len(), Command::Tour as usize + 1);
    }
}
