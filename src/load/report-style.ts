/** How the report looks: light and dark, from a phone to a wide screen. */
export const reportStyle = `
:root{--page:#f7f8fa;--card:#fff;--text:#1a1d23;--soft:#5a6270;--line:#e1e4e9;--blue:#1f6feb;--amber:#b26a00;--red:#cf222e;--muted:#8a93a0;--warn:#fff4e0;--warn-line:#e0a030}
@media(prefers-color-scheme:dark){:root{--page:#0f1216;--card:#181c22;--text:#e8eaee;--soft:#a0a8b4;--line:#2b313a;--blue:#6aa8ff;--amber:#f0b040;--red:#ff7b72;--muted:#78818e;--warn:#33270d;--warn-line:#a87820}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 20px 40px}
h1{font-size:22px;line-height:1.25;margin:0;overflow-wrap:anywhere}h2{font-size:16px;margin:0}
p{margin:4px 0}header p,figcaption p,footer,.empty{color:var(--soft)}
.warning{background:var(--warn);border-left:4px solid var(--warn-line);border-radius:4px;padding:10px 14px;margin:16px 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.tiles div,figure,section{background:var(--card);border:1px solid var(--line);border-radius:8px}
.tiles div{padding:10px 14px}.tiles dt{color:var(--soft);font-size:13px}.tiles dd{margin:0;font-size:19px;font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px}
figure{margin:0;padding:16px;min-width:0}figcaption p{font-size:13px;margin:0}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;margin:6px 0 0;padding:0;font-size:13px}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}
.plot{position:relative;height:210px;margin:16px 14px 24px 60px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot path{fill:none;stroke-width:1.75;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.grid line{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.plot span{position:absolute;font-size:12px;line-height:1;color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}
.plot .y{right:100%;margin-right:8px;transform:translateY(-50%)}.plot .x{top:100%;margin-top:8px;transform:translateX(-50%)}
section{padding:16px;margin-top:16px}section h2{margin-bottom:8px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;border-top:1px solid var(--line);text-align:left;font-weight:400;white-space:nowrap}
thead th,thead td{border-top:0;color:var(--soft);font-size:13px}tfoot th,tfoot td{font-weight:600}.number{text-align:right}
.scroll{overflow-x:auto}.scroll:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
.codes .bar{width:70%}.bar i{display:block;height:10px;min-width:2px;border-radius:2px}
footer{font-size:13px;margin-top:20px}
@media(max-width:480px){main{padding:16px 12px 32px}.tiles{grid-template-columns:repeat(2,1fr);gap:8px}figure,section{padding:12px}.plot{margin-left:54px}}
`
