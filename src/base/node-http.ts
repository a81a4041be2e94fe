/**
 * Node's HTTP without its fetch: `import … from 'node:http'` reads every name that the module
 * exports, and some of them load undici when they are read, which costs each start as much
 * CPU time as all of zod, and 14 MB.
 */
export const nodeHttp = process.getBuiltinModule('node:http')
