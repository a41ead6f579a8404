/** Figures over time. What was not measured is a gap, never a zero. */
import { useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useEffect, useMemo, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './chart.css';

export interface Series {
  label: string;
  values: readonly (number | null)[];
}

interface Props {
  label: string;
  /** Seconds since 1970. */
  times: readonly number[];
  series: readonly Series[];
  show: (value: number) => string;
  /** The top of the scale, where there is one. */
  max?: number;
}

const HEIGHT = 168;
const COLORS = {
  light: { lines: ['#1864ab', '#a85b00'], grid: '#e6e9ec', text: '#4f5760' },
  dark: { lines: ['#74c0fc', '#ffc078'], grid: '#2b3036', text: '#adb3ba' },
};

export function Chart({ label, times, series, show, max }: Props) {
  const { i18n } = useTranslation();
  const { ref, width } = useElementSize();
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const colors = COLORS[useComputedColorScheme('light')];
  const names = series.map((one) => one.label).join('|');
  const data = useMemo(
    () => [[...times], ...series.map((one) => [...one.values])] as uPlot.AlignedData,
    [times, series],
  );
  const kept = useRef({ data, show });
  useEffect(() => {
    kept.current = { data, show };
    plot.current?.setData(data);
  }, [data, show]);
  useEffect(() => {
    if (!box.current || width === 0) return;
    const axis = { stroke: colors.text, grid: { stroke: colors.grid, width: 1 }, ticks: { stroke: colors.grid, width: 1 } };
    const day = new Intl.DateTimeFormat(i18n.language, { month: 'numeric', day: 'numeric' });
    const clock = new Intl.DateTimeFormat(i18n.language, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    const long = new Intl.DateTimeFormat(i18n.language, { dateStyle: 'short', timeStyle: 'medium' });
    const made = new uPlot(
      {
        width,
        height: HEIGHT,
        scales: { x: { time: true }, y: { range: (_, __, top) => [0, max ?? (top > 0 ? top * 1.1 : 1)] } },
        axes: [
          { ...axis, values: (_, splits, __, ___, step) => splits.map((s) => (step >= 43_200 ? day : clock).format(s * 1000)) },
          { ...axis, size: 76, values: (_, splits) => splits.map((value) => kept.current.show(value)) },
        ],
        series: [
          { label: ' ', value: (_, at: number | null) => (at === null ? '–' : long.format(at * 1000)) },
          ...names.split('|').map((name, n) => ({
            label: name,
            stroke: colors.lines[n] ?? colors.text,
            width: 1.5,
            ...(n > 0 ? { dash: [5, 4] } : {}),
            spanGaps: false,
            points: { show: false },
            value: (_: uPlot, value: number | null) => (value === null ? '–' : kept.current.show(value)),
          })),
        ],
        cursor: { drag: { x: false, y: false } },
      },
      kept.current.data,
      box.current,
    );
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [width, colors, names, max, i18n.language]);
  // What the lines say last, for those who do not see them.
  const told = series.map((one) => {
    const value = one.values.findLast((one) => one !== null);
    return `${one.label} ${typeof value === 'number' ? show(value) : '–'}`;
  });
  return (
    <figure ref={ref} className="chart" aria-label={`${label}: ${told.join(', ')}`}>
      <div ref={box} style={{ minHeight: HEIGHT }} />
    </figure>
  );
}
