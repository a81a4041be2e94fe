process.env.TENFOLD_SOAK = '1'
process.env.TENFOLD_FAULTS = 'kill|clock|flush|restart|disk|web stands|both ways|dies'
await import('./matrix.test.ts')
