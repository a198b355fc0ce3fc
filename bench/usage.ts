/** What processes use: processor time and memory, from /proc. */
import { readFileSync } from 'node:fs'

/** Linux reports processor time in /proc in hundredths of a second. */
const TICKS_PER_SECOND = 100

/** Processor time that all threads of a process have used, in seconds; null on systems without /proc. */
export function cpuSeconds(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The process name may contain spaces, so fields are counted from its closing bracket: 14 and 15 are the times.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  } catch {
    return null
  }
}

/** Processor time that all processes of the machine have used, including time stolen by a hypervisor, in seconds. */
export function machineSeconds(): number | null {
  const times = machineTimes()
  if (!times) return null
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = times
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}

/** Processor time that this machine needed and its hypervisor gave to others, in seconds; 0 on systems without /proc. */
export const stolenSeconds = (): number => (machineTimes()?.[7] ?? 0) / TICKS_PER_SECOND

function machineTimes(): number[] | null {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
    return line.split(/ +/).slice(1).map(Number)
  } catch {
    return null
  }
}

/** Resident memory of a process in megabytes. */
export const rssMb = (pid: number): number =>
  Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)
