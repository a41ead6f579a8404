/** How much of something is promised or in use, out of how much; over the brim where more may be promised. */
import { Progress, Text } from '@mantine/core';

interface Part {
  label: string;
  value: number;
  color: string;
}

export function Bar({ total, parts, text }: { total: number; parts: readonly Part[]; text: string }) {
  const sum = parts.reduce((all, part) => all + part.value, 0);
  const whole = Math.max(total, sum, 1);
  return (
    <div>
      <Progress.Root size="md" aria-label={text}>
        {parts.map((part) => (
          <Progress.Section
            key={part.label}
            value={(part.value / whole) * 100}
            color={part.color}
            aria-label={part.label}
            withAria
          />
        ))}
      </Progress.Root>
      <Text size="xs" c="dimmed" className="num">
        {text}
      </Text>
    </div>
  );
}
