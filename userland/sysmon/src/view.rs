//! How the figures look: a heading, a graph for each CPU and for the memory, a table of tasks.

use std::collections::VecDeque;
use std::convert::Infallible;

use embedded_graphics::mono_font::ascii::FONT_9X18;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

use crate::canvas::Canvas;
use crate::figures::Figures;

const BACKGROUND: Rgb888 = Rgb888::new(0x10, 0x14, 0x1c);
const PANEL: Rgb888 = Rgb888::new(0x1c, 0x22, 0x2e);
const GRID: Rgb888 = Rgb888::new(0x30, 0x38, 0x48);
const TEXT: Rgb888 = Rgb888::new(0xd8, 0xde, 0xe9);
const FAINT: Rgb888 = Rgb888::new(0x80, 0x8a, 0x9c);
const CPU: Rgb888 = Rgb888::new(0x88, 0xc0, 0x60);
const USED: Rgb888 = Rgb888::new(0xd0, 0x80, 0x60);
const CACHED: Rgb888 = Rgb888::new(0x60, 0x90, 0xd0);

const FONT: &MonoFont<'_> = &FONT_9X18;
/// Pixels of a character: text stands on the grid that the console has, so that who reads that reads this too.
const COLUMN: i32 = 9;
const LINE: i32 = 18;
const MARGIN: i32 = 2 * COLUMN;
/// Where graphs begin.
const GRAPHS: i32 = 16 * COLUMN;
/// Values that a graph shows.
const HISTORY: usize = 60;
/// Rows of graphs at most: other CPUs are not shown.
const CPUS: usize = 8;

/// The past, for the graphs.
#[derive(Default)]
pub(crate) struct View {
    /// Loads of each CPU, the newest last.
    loads: Vec<VecDeque<f32>>,
}

impl View {
    /// Draws the figures; loads are since `earlier`.
    pub(crate) fn draw(&mut self, canvas: &mut Canvas, earlier: &Figures, now: &Figures) {
        let Ok(()) = self.try_draw(canvas, earlier, now);
    }

    fn try_draw(&mut self, canvas: &mut Canvas, earlier: &Figures, now: &Figures) -> Result<(), Infallible> {
        let size = canvas.size();
        let (width, height) = (size.width as i32, size.height as i32);
        canvas.clear(BACKGROUND)?;
        let up = now.uptime_seconds;
        let time = format!("{}:{:02}:{:02}", up / 3600, up / 60 % 60, up % 60);
        text(canvas, TEXT, MARGIN, LINE, "System monitor")?;
        text(canvas, FAINT, MARGIN + 18 * COLUMN, LINE, &format!("{}, up {time}", now.version))?;
        text(canvas, FAINT, from_right(width, 7), LINE, "q: quit")?;

        let mut top = 3 * LINE;
        self.loads.resize_with(now.cpus.len(), VecDeque::new);
        let shown = self.loads.len().min(CPUS);
        let graph = (height / 3 / shown.max(1) as i32 / LINE).clamp(2, 6) * LINE;
        for (index, cpu) in now.cpus.iter().enumerate() {
            let load = cpu.load_since(earlier.cpus.get(index).copied().unwrap_or_default());
            let past = &mut self.loads[index];
            past.push_back(load);
            if past.len() > HISTORY {
                past.pop_front();
            }
            if index < CPUS {
                let label = format!("CPU {index} {:3.0}%", load * 100.0);
                text(canvas, TEXT, MARGIN, top, &label)?;
                let area =
                    Rectangle::new(Point::new(GRAPHS, top), extent(width - MARGIN - GRAPHS, graph - 6));
                draw_graph(canvas, area, past)?;
                top += graph;
            }
        }
        draw_memory(canvas, now, top, width)?;
        top += 2 * LINE;
        draw_tasks(canvas, now, top, width, height)
    }
}

/// Values from 0 to 1, the newest on the right.
fn draw_graph(canvas: &mut Canvas, area: Rectangle, values: &VecDeque<f32>) -> Result<(), Infallible> {
    area.into_styled(PrimitiveStyle::with_fill(PANEL)).draw(canvas)?;
    let (origin, size) = (area.top_left, area.size);
    let (width, height) = (size.width as i32, size.height as i32);
    for quarter in 1..4 {
        let y = origin.y + height * quarter / 4;
        let line = Line::new(Point::new(origin.x, y), Point::new(origin.x + width - 1, y));
        line.into_styled(PrimitiveStyle::with_stroke(GRID, 1)).draw(canvas)?;
    }
    let step = (width / HISTORY as i32).max(1);
    for (age, value) in values.iter().rev().enumerate() {
        let bar = (height as f32 * value.clamp(0.0, 1.0)) as i32;
        let x = origin.x + width - step * (age as i32 + 1);
        if x >= origin.x && bar > 0 {
            let corner = Point::new(x, origin.y + height - bar);
            let bar = Rectangle::new(corner, extent((step - 1).max(1), bar));
            bar.into_styled(PrimitiveStyle::with_fill(CPU)).draw(canvas)?;
        }
    }
    Ok(())
}

fn draw_memory(canvas: &mut Canvas, now: &Figures, top: i32, width: i32) -> Result<(), Infallible> {
    let memory = now.memory;
    let used = memory.total.saturating_sub(memory.free).saturating_sub(memory.cached);
    text(canvas, TEXT, MARGIN, top, "memory")?;
    let (left, label) = (GRAPHS, from_right(width, 32));
    let room = (label - COLUMN - left).max(40);
    let part = |kib: u64| (room as u64 * kib / memory.total.max(1)).min(room as u64) as i32;
    let mut x = left;
    for (color, length) in [(USED, part(used)), (CACHED, part(memory.cached)), (PANEL, room)] {
        let length = length.min(left + room - x);
        let bar = Rectangle::new(Point::new(x, top), extent(length, LINE - 4));
        bar.into_styled(PrimitiveStyle::with_fill(color)).draw(canvas)?;
        x += length;
    }
    let words = format!("{} of {} MiB, {} cached", used >> 10, memory.total >> 10, memory.cached >> 10);
    text(canvas, FAINT, label, top, &words)
}

fn draw_tasks(
    canvas: &mut Canvas,
    now: &Figures,
    top: i32,
    width: i32,
    height: i32,
) -> Result<(), Infallible> {
    let heading = format!("{:>7} S {:>4} {:>6} {:>9}  NAME", "PID", "THR", "CPU%", "MEM KiB");
    text(canvas, FAINT, MARGIN, top, &heading)?;
    text(canvas, FAINT, from_right(width, 11), top, &format!("{:>5} tasks", now.tasks.len()))?;
    let rows = (height - MARGIN - top) / LINE - 1;
    for (row, task) in (1..=rows).zip(&now.tasks) {
        let line = format!(
            "{:>7} {} {:>4} {:>6.1} {:>9}  {}",
            task.pid,
            task.state,
            task.threads,
            task.load * 100.0,
            task.resident,
            task.name
        );
        text(canvas, TEXT, MARGIN, top + row * LINE, &line)?;
    }
    Ok(())
}

/// Where text of so many characters begins that ends at the right margin.
fn from_right(width: i32, characters: i32) -> i32 {
    (width - MARGIN) / COLUMN * COLUMN - characters * COLUMN
}

fn text(canvas: &mut Canvas, color: Rgb888, x: i32, y: i32, text: &str) -> Result<(), Infallible> {
    let style = MonoTextStyle::new(FONT, color);
    Text::with_baseline(text, Point::new(x, y), style, Baseline::Top).draw(canvas).map(drop)
}

/// A size of numbers that may come out negative on a small screen.
fn extent(width: i32, height: i32) -> Size {
    Size::new(width.max(0) as u32, height.max(0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_of_all_sizes_are_drawn_on() {
        let now = Figures::read(&Figures::default());
        for (width, height) in [(1024, 768), (1920, 1080), (320, 200), (1, 1), (3000, 20)] {
            let mut canvas = Canvas::new(width, height);
            let mut view = View::default();
            for _ in 0..HISTORY + 2 {
                view.draw(&mut canvas, &Figures::default(), &now);
            }
            assert!(view.loads.iter().all(|past| past.len() == HISTORY));
            let mut rows = 0;
            canvas.show(|_, pixels| rows += usize::from(pixels.len() == width));
            assert_eq!(rows, height);
        }
    }
}
