import { serve } from './trainer.js';

serve(self);
