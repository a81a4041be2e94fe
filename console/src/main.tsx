/** The console: begins a session, then shows the page that the address names. */
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import './style.css'
import { Boundary } from './boundary.tsx'
import { Gate } from './gate.tsx'

createRoot(document.getElementById('root')!).render(<StrictMode><Boundary><Gate /></Boundary></StrictMode>)
