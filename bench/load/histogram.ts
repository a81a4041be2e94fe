/** A latency histogram with logarithmic buckets: 32 per doubling, so within 2.2 % of the true value. */
const bucketsPerDoubling = 32
const bucketCount = 1_024
const smallestMs = 0.001

export class Histogram {
  private readonly counts = new Uint32Array(bucketCount)
  private total = 0
  maxMs = 0

  record(valueMs: number): void {
    const index = Math.floor(Math.log2(Math.max(valueMs, smallestMs) / smallestMs) * bucketsPerDoubling)
    this.counts[Math.min(index, bucketCount - 1)]!++
    this.total++
    if (valueMs > this.maxMs) this.maxMs = valueMs
  }

  percentileMs(percent: number): number {
    const wanted = this.total * percent / 100
    let seen = 0
    for (let index = 0; index < bucketCount; index++) {
      seen += this.counts[index]!
      // The middle of the bucket: neither side is favoured.
      if (seen > 0 && seen >= wanted) return Math.min(smallestMs * 2 ** ((index + 0.5) / bucketsPerDoubling), this.maxMs)
    }
    return this.maxMs
  }
}
