/** Builds the page into src/admin/page: few files, no source maps, every address relative to the admin port. */
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: { outDir: '../src/admin/page', emptyOutDir: true, target: 'es2023', modulePreload: false, reportCompressedSize: false, assetsInlineLimit: 0 },
})
