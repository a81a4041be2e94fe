/** The standard variables of OpenTelemetry that Tenfold reads itself; the exporter's own packages read the rest. */

type Environment = Readonly<Record<string, string | undefined>>

const isTrue = (text: string | undefined): boolean => text?.trim().toLowerCase() === 'true'

/** Only a named collector is sent to: the standard's own default, localhost, would be silence for most. */
export function isExportWanted(env: Environment): boolean {
  const { OTEL_SDK_DISABLED: disabled, OTEL_TRACES_EXPORTER: exporter, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces } = env
  return !isTrue(disabled) && exporter?.trim() !== 'none' && Boolean(endpoint?.trim() || traces?.trim())
}

export type Protocol = 'http/protobuf' | 'http/json'

export interface OtlpSettings {
  readonly protocol: Protocol
  readonly sampler: { readonly name: string; readonly ratio: number }
  readonly serviceName: string
  readonly queueMax: number
  readonly batchMax: number
  readonly delayMs: number
  /** What is set and cannot be done, for the log. */
  readonly complaints: readonly string[]
}

const samplers = ['always_on', 'always_off', 'traceidratio', 'parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio']

export function otlpSettingsOf(env: Environment, service: string): OtlpSettings {
  const complaints: string[] = []
  const given = (name: string) => env[name]?.trim() || undefined
  const oneOf = <T extends string>(name: string, value: string | undefined, known: readonly T[], standard: T): T => {
    if (value === undefined || known.includes(value as T)) return value as T | undefined ?? standard
    complaints.push(`${name} is '${value}'; it may be ${known.join(', ')}; ${standard} is used`)
    return standard
  }
  const number = (name: string, standard: number, max = Infinity) => {
    const text = given(name)
    const value = Number(text)
    if (text === undefined || (value >= 0 && value <= max)) return text === undefined ? standard : value
    complaints.push(`${name} is '${text}', which is no such number; ${standard} is used`)
    return standard
  }
  return {
    protocol: oneOf('OTEL_EXPORTER_OTLP_PROTOCOL', given('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ?? given('OTEL_EXPORTER_OTLP_PROTOCOL'), ['http/protobuf', 'http/json'], 'http/protobuf'),
    sampler: { name: oneOf('OTEL_TRACES_SAMPLER', given('OTEL_TRACES_SAMPLER'), samplers, 'parentbased_always_on'), ratio: number('OTEL_TRACES_SAMPLER_ARG', 1, 1) },
    serviceName: given('OTEL_SERVICE_NAME') ?? service,
    queueMax: number('OTEL_BSP_MAX_QUEUE_SIZE', 2_048), batchMax: number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512), delayMs: number('OTEL_BSP_SCHEDULE_DELAY', 5_000),
    complaints,
  }
}
